//! Generates the stubs from the contract, with a compiler of protos that is a crate: nothing else
//! has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = "../../../proto";
    println!("cargo:rerun-if-changed={protos}");
    let files = protox::compile(
        ["tercet/v1/sync_service.proto", "tercet/v1/item_service.proto"],
        [protos],
    )?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
