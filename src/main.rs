//! The program: everything it does is in [`mptcp_inspect::cli`].

/// Connections are made of many small pieces: jemalloc packs them closer than the system's allocator and hands them out
/// faster. How it is set up stands in `.cargo/config.toml`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    mptcp_inspect::cli::run()
}
