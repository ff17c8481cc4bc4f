//! Writes the corpus: `cargo run -p warren-fuzz --bin seeds`. Seeds of other names are left alone.

use std::fs;
use std::path::Path;

#[expect(clippy::print_stdout, reason = "a command that says what it did")]
#[expect(clippy::disallowed_methods, reason = "a half-written seed is written again")]
fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in warren_fuzz::seeds() {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(&name), &bytes)?;
        println!("{target}/{name}: {} bytes", bytes.len());
    }
    Ok(())
}
