//! The alphabet of every identifier people read: Crockford's base 32, lower case, without look-alikes.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

/// Crockford base 32: writes lower case; reads any case, `o` as `0`, `i` and `l` as `1`, and skips white space
/// and `-`. Trailing bits must be zero, so each value has one encoding apart from those liberties.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    spec.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
    spec.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    spec.ignore.push_str(" \t\r\n-");
    spec.encoding().expect("the alphabet is a constant that a test reads back")
});
