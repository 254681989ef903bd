//! Why a review can't be judged, with the rule that refuses it.

use pinfold_model::finding::RuleId;

/// A review that can't be judged. It must be answered with a denial; with the uid, if it was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct ReviewError {
    /// `request.uid`, if the review was readable so far.
    pub uid: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a review. Paths begin at the review: `$.request.object`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No bytes, or only white space.
    #[error("expected an AdmissionReview, found an empty body")]
    Empty,
    /// Not UTF-8, or with a byte order mark.
    #[error("expected UTF-8 without a byte order mark")]
    Encoding,
    /// Not JSON, or cut off.
    #[error("expected JSON: {0}")]
    Syntax(String),
    /// Too large, too deep or too many values.
    #[error("{message}")]
    Limit {
        /// What was measured.
        path: &'static str,
        /// Found and allowed.
        message: String,
    },
    /// Another kind or version of review.
    #[error("expected `admission.k8s.io/v1` `AdmissionReview`, found `{api_version}` `{kind}`")]
    NotAReview {
        /// `apiVersion` as found.
        api_version: String,
        /// `kind` as found.
        kind: String,
    },
    /// One member twice: which of the two counts is anybody's guess.
    #[error("member `{member}` appears twice")]
    Twice {
        /// The object that holds it.
        path: &'static str,
        /// Its name.
        member: String,
    },
    /// A required part is not there.
    #[error("the part is missing")]
    Missing {
        /// What is missing.
        path: &'static str,
    },
    /// A part that can't be what it says.
    #[error("{message}")]
    Part {
        /// Which.
        path: &'static str,
        /// Expected and found.
        message: String,
    },
    /// `userInfo.username` is empty: nobody to judge.
    #[error("the request names no user")]
    NoUser,
    /// An object of a kind that rules read, in a shape that can't be read.
    #[error("{message}")]
    Object {
        /// Which.
        path: &'static str,
        /// Expected and found.
        message: String,
    },
}

impl Fault {
    /// The rule that refuses it.
    #[must_use]
    pub fn rule(&self) -> RuleId {
        match self {
            Self::Empty
            | Self::Encoding
            | Self::Syntax(_)
            | Self::NotAReview { .. }
            | Self::Twice { .. }
            | Self::Missing { .. }
            | Self::Part { .. } => RuleId::REQ_MALFORMED,
            Self::Limit { .. } => RuleId::REQ_LIMIT,
            Self::NoUser => RuleId::REQ_NO_USER,
            Self::Object { .. } => RuleId::REQ_OBJECT,
        }
    }

    /// JSON path of the part at fault.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self {
            Self::Empty | Self::Encoding | Self::Syntax(_) => "$",
            Self::NotAReview { .. } => "$.kind",
            Self::NoUser => "$.request.userInfo.username",
            Self::Limit { path, .. }
            | Self::Twice { path, .. }
            | Self::Missing { path }
            | Self::Part { path, .. }
            | Self::Object { path, .. } => path,
        }
    }

    /// What would be accepted.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty
            | Self::Encoding
            | Self::Syntax(_)
            | Self::NotAReview { .. }
            | Self::Missing { .. }
            | Self::Part { .. } => {
                "send the AdmissionReview v1 that a Kubernetes API server writes, with `admissionReviewVersions: [v1]`"
            }
            Self::Twice { .. } => "name the member once",
            Self::Limit { .. } => {
                "make the object smaller or flatter, or leave its kind out of the webhook configuration"
            }
            Self::NoUser => "let the API server authenticate the request",
            Self::Object { .. } => "give the field the shape that the API documents",
        }
    }
}
