//! The program; all of it is in the library, so that a third party's binary can be as short.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    eagle_lab::main()
}
