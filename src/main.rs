//! The program: everything it does is in [`mptcp_inspect::cli`].
fn main() -> std::process::ExitCode {
    mptcp_inspect::cli::run()
}
