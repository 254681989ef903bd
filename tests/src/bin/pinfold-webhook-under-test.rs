//! `pinfold-webhook` as the tests start it: the same `main`, built with them, because cargo builds another package's program for no test.

use std::process::ExitCode;

fn main() -> ExitCode {
    pinfold_webhook::main()
}
