//! Which side guesses what, by what stands before each of them. How it is done is in `guess.rs`.

/// What stands between a device and the Internet, as far as UDP over IPv4 goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nat {
    /// Not found out yet.
    #[default]
    Unknown,
    /// No translation.
    Open,
    /// One outside port for all destinations.
    Easy,
    /// Another outside port for each destination.
    Hard,
}

/// What one of two sides does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Pings from many sockets, so that our NAT has many ports open.
    Sockets,
    /// Pings many ports.
    Ports,
    /// Both: either may be what is needed.
    Both,
}

impl Role {
    /// What we do, if guessing can help at all. Plain pings reach a side that is open, and two easy ones; two hard ones need
    /// more luck than there is.
    pub(super) const fn of(ours: Nat, theirs: Nat) -> Option<Self> {
        match (ours, theirs) {
            (Nat::Hard, Nat::Easy | Nat::Unknown) | (Nat::Unknown, Nat::Easy) => Some(Self::Sockets),
            (Nat::Easy | Nat::Unknown, Nat::Hard) | (Nat::Easy, Nat::Unknown) => Some(Self::Ports),
            (Nat::Unknown, Nat::Unknown) => Some(Self::Both),
            (Nat::Hard, Nat::Hard) | (Nat::Easy, Nat::Easy) | (Nat::Open, _) | (_, Nat::Open) => None,
        }
    }

    /// Whether it takes sockets.
    pub(crate) const fn opens_sockets(self) -> bool {
        matches!(self, Self::Sockets | Self::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_guesses_where_plain_pings_do_or_nothing_can() {
        use Nat::{Easy, Hard, Open, Unknown};
        let kinds = [Unknown, Open, Easy, Hard];
        let guesses = kinds.iter().flat_map(|ours| kinds.iter().map(move |theirs| (*ours, *theirs)));
        let roles = |(ours, theirs)| Some((ours, theirs, Role::of(ours, theirs)?, Role::of(theirs, ours)?));
        let guesses: Vec<_> = guesses.filter_map(roles).collect();
        assert_eq!(
            guesses,
            [
                (Unknown, Unknown, Role::Both, Role::Both),
                (Unknown, Easy, Role::Sockets, Role::Ports),
                (Unknown, Hard, Role::Ports, Role::Sockets),
                (Easy, Unknown, Role::Ports, Role::Sockets),
                (Easy, Hard, Role::Ports, Role::Sockets),
                (Hard, Unknown, Role::Sockets, Role::Ports),
                (Hard, Easy, Role::Sockets, Role::Ports),
            ]
        );
    }
}
