//! Policy documents, the cluster snapshot and facts: raw struct to ready struct, strict. Opens no socket.
