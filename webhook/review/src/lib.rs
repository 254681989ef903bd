//! AdmissionReview bytes to facts and patches back to bytes. No I/O.
