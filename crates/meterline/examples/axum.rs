//! A small service with its metrics: run it, open some orders, then look at `/metrics`.
//!
//!     cargo run -p meterline --example axum
//!     curl http://127.0.0.1:3000/orders/7
//!     curl http://127.0.0.1:3000/metrics

use axum::extract::Path;
use axum::{Router, routing::get};
use meterline::Telemetry;
use opentelemetry::{KeyValue, global};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env()?;

    // After the telemetry: instruments made before it would stay without effect.
    let opened = global::meter("shop")
        .u64_counter("shop.orders.opened")
        .build();
    let open_order = |Path(id): Path<u32>| async move {
        opened.add(1, &[KeyValue::new("even", id % 2 == 0)]);
        format!("order {id}\n")
    };

    let app = Router::new()
        .route("/orders/{id}", get(open_order))
        .layer(telemetry.http_layer())
        .merge(telemetry.routes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/metrics", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;
    telemetry.shutdown().await?;
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("no signals here: {error}");
    }
}
