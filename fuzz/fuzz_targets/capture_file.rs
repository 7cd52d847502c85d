#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mptcp_inspect_fuzz::capture_file::run(data));
