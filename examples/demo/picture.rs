//! The mesh, drawn.

/// A device in the picture.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// The way between two devices.
pub(crate) struct Link {
    /// As `warren status` puts it; none when packets find no way.
    pub(crate) path: Option<String>,
}

/// Inner width of a device's box: an IPv4 address and some air.
const BOX: usize = 19;

/// Columns between the two lower boxes.
const GAP: usize = 26;

/// Draws founder, left and right, with the links left–founder, right–founder, left–right.
pub(crate) fn draw([founder, left, right]: &[Device; 3], links: &[Link; 3]) -> String {
    let width = 2 * (BOX + 2) + GAP;
    let indent = " ".repeat((width - BOX - 2) / 2);
    let gap = " ".repeat(GAP);
    let text = |link: &Link| link.path.clone().unwrap_or_else(|| "no path".to_owned());
    let between = &links[2];
    let line = if between.path.is_some() { "─" } else { "╌" };
    let rim = |corners: [&str; 2]| format!("{}{}{}", corners[0], "─".repeat(BOX), corners[1]);
    let row = |text: &str| format!("│{text:^BOX$}│");
    // The way from a lower box to the founder's, three rows of it, the path written beside the middle one.
    let slope = |row: usize, beside: [&str; 2]| {
        let left = indent.len() - 1 - 3 * row;
        let inner = width - 2 * (left + 1);
        format!("{:>left$}╱{:inner$}╲{}", beside[0], "", beside[1])
    };
    let beside = [format!("{} ", text(&links[0])), format!(" {}", text(&links[1]))];
    [
        format!("{indent}{}", rim(["┌", "┐"])),
        format!("{indent}{}", row(&founder.name)),
        format!("{indent}{}", row(&founder.address)),
        format!("{indent}{}", rim(["└", "┘"])),
        slope(0, ["", ""]),
        slope(1, [&beside[0], &beside[1]]),
        slope(2, ["", ""]),
        format!("  ═══ home router ═══{gap}  ═══ home router ═══"),
        format!("{}{gap}{}", rim(["┌", "┐"]), rim(["┌", "┐"])),
        format!("{}{}{}", row(&left.name), line.repeat(GAP), row(&right.name)),
        format!("{}{:^GAP$}{}", row(&left.address), text(between), row(&right.address)),
        format!("{}{gap}{}", rim(["└", "┘"]), rim(["└", "┘"])),
        String::new(),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_is_drawn_as_missing() {
        let device = |name: &str| Device { name: name.to_owned(), address: "100.64.0.1".to_owned() };
        let link = |path: Option<&str>| Link { path: path.map(str::to_owned) };
        let links = [link(Some("direct, 0.4 ms")), link(Some("direct, 0.5 ms")), link(None)];
        let picture = draw(&[device("founder"), device("laptop"), device("phone")], &links);
        assert!(picture.contains("direct, 0.4 ms ╱"), "{picture}");
        assert!(picture.contains("no path") && !picture.contains("│───"), "{picture}");
        assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
    }
}
