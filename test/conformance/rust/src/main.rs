mod proto {
    tonic::include_proto!("tercet.v1");
}
use proto::sync_service_client::SyncServiceClient;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = SyncServiceClient::connect("http://127.0.0.1:1").await.is_err();
    let _ = tonic_types::StatusExt::get_error_details(&tonic::Status::ok(""));
}
