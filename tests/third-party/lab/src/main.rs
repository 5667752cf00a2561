use colour_grid as _;

fn main() -> std::process::ExitCode {
    eagle_lab::main()
}
