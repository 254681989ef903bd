//! Pure decisions over facts and a snapshot: admit, covers, egress, tool. No I/O, no clock, no logging.
