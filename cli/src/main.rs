//! The `pinfold` command: arguments in, exit code out.

use std::io;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = pinfold::Arguments::parse();
    pinfold::run(&arguments, &mut io::stdout().lock(), &mut io::stderr()).into()
}
