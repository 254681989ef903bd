//! `pinfold-webhook`: the gate into the cluster. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pinfold_webhook::main()
}
