//! The revisions of the protocol that are understood.

/// A revision of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The first with streamable HTTP; assumed when a client names none.
    V2025_03_26,
    /// The first with the version header; without batches.
    V2025_06_18,
    /// The last with sessions.
    V2025_11_25,
    /// Stateless: every request says its revision, and headers mirror the body.
    V2026_07_28,
}

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: &'static [Self] =
        &[Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// Those that begin with `initialize`.
    pub const WITH_SESSIONS: &'static [Self] =
        &[Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];

    /// The revision of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|revision| revision.as_str() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether every request carries its metadata and there are no sessions.
    #[must_use]
    pub fn is_stateless(self) -> bool {
        !Self::WITH_SESSIONS.contains(&self)
    }
}
