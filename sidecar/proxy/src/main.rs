//! `pinfold-sidecar`: the gate out of the pod. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pinfold_sidecar::main()
}
