//! The `pinfold` command: arguments in, exit code out.
fn main() {}
