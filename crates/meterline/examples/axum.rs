//! A small service with its metrics: run it, open some orders, then look at `/metrics`.
//!
//!     cargo run -p meterline --example axum
//!     curl http://127.0.0.1:3000/orders/7
//!     curl http://127.0.0.1:3000/metrics
//!
//! The page has `shop_orders_opened_total` by whether the number is even, `http_server_request_duration_seconds`
//! and its companions by route, the process and the runtime. Another address: `-- 127.0.0.1:4000`.

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
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
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
