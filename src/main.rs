//! `drydock`: see [`drydock::cli`].

fn main() -> std::process::ExitCode {
    drydock::cli::main()
}
