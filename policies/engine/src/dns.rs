//! May this DNS question leave the pod, and which of its answers may come back?
//!
//! Plain functions of question, policy and answer. Nothing here resolves, keeps time or counts.
