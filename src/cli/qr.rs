//! A code as a picture for a camera, two modules a character high, with the quiet zone the norm asks for.

use qrcode::{Color, EcLevel, QrCode};

/// Modules of quiet zone around the code (ISO/IEC 18004, 7.3.8 asks for four).
const QUIET: usize = 4;

/// How the modules are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Dark modules are drawn: for paper, or where the printer sets black on white.
    Dark,
    /// Light modules are drawn: for a terminal without colours, which most likely is dark.
    Light,
}

/// The lines of the picture; none when the text is too long for a code.
///
/// Upper case letters and digits have a denser form in the norm; invite codes ignore case, so they use it.
pub(super) fn lines(text: &str, ink: Ink) -> Vec<String> {
    let Ok(code) = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L) else {
        return Vec::new();
    };
    let width = code.width();
    let colours = code.to_colors();
    let side = width + 2 * QUIET;
    let drawn = |row: usize, column: usize| {
        let inside = (QUIET..QUIET + width).contains(&row) && (QUIET..QUIET + width).contains(&column);
        let dark = inside && colours[(row - QUIET) * width + (column - QUIET)] == Color::Dark;
        // An odd side leaves half a line below: it belongs to nobody and stays undrawn.
        row < side && dark == (ink == Ink::Dark)
    };
    let half = |row, column| match (drawn(row, column), drawn(row + 1, column)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..side).step_by(2).map(|row| (0..side).map(|column| half(row, column)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_code_fits_into_80_columns_and_a_screen() {
        let code = format!("warren1{}", "a".repeat(243));
        let lines = lines(&code, Ink::Light);
        assert!(lines.len() <= 30, "{} lines", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn the_picture_holds_every_module_in_both_inks() {
        let code = QrCode::with_error_correction_level("WARREN1ABC", EcLevel::L).unwrap();
        let dark: Vec<bool> = code.to_colors().into_iter().map(|colour| colour == Color::Dark).collect();
        for ink in [Ink::Dark, Ink::Light] {
            let picture: Vec<Vec<char>> =
                lines("warren1abc", ink).iter().map(|line| line.chars().collect()).collect();
            let read = |row: usize, column: usize| {
                let half = if row.is_multiple_of(2) { ['█', '▀'] } else { ['█', '▄'] };
                half.contains(&picture[row / 2][column]) == (ink == Ink::Dark)
            };
            let modules =
                (0..code.width()).flat_map(|row| (0..code.width()).map(move |column| (row, column)));
            let drawn: Vec<bool> = modules.map(|(row, column)| read(row + QUIET, column + QUIET)).collect();
            assert_eq!(drawn, dark);
        }
    }

    #[test]
    fn the_quiet_zone_is_light_in_both_inks() {
        let dark = lines("warren1", Ink::Dark);
        let light = lines("warren1", Ink::Light);
        for row in 0..QUIET / 2 {
            assert!(dark[row].chars().all(|c| c == ' '));
            assert!(light[row].chars().all(|c| c == '█'));
        }
        assert!(light.iter().all(|line| line.starts_with(['█', '▀']) && !line.starts_with(' ')));
    }

    #[test]
    fn a_text_no_code_can_hold_draws_nothing() {
        assert!(lines(&"a".repeat(5000), Ink::Dark).is_empty());
    }
}
