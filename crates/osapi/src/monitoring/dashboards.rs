//! The dashboards, as Grafana imports them.

use serde_json::{Value, json};

use super::names::Metrics;

mod panels;

use self::panels::BOARDS;

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// What its file is called, without `.json`.
    pub name: &'static str,
    /// The document to import.
    pub json: Value,
}

/// What a dashboard shows, row by row.
struct Board {
    name: &'static str,
    title: &'static str,
    panels: &'static [Panel],
}

/// Lines over time: `queries` are expressions and the legends of their series.
struct Panel {
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
}

/// The names of all dashboards.
pub const DASHBOARDS: [&str; 4] = ["http", "jobs", "nats", "runtime"];

const COLUMNS: usize = 2;
const WIDTH: usize = 24 / COLUMNS;
const HEIGHT: usize = 8;

/// All dashboards.
#[must_use]
pub fn dashboards(metrics: &Metrics) -> Vec<Dashboard> {
    BOARDS.iter().map(|board| board.document(metrics)).collect()
}

impl Board {
    fn document(&self, metrics: &Metrics) -> Dashboard {
        let panels = self.panels.iter().enumerate();
        let panels: Vec<_> = panels
            .map(|(at, panel)| panel.document(at, metrics))
            .collect();
        let json = json!({
            "uid": format!("osapi-{}", self.name),
            "title": self.title,
            "tags": ["osapi"],
            "schemaVersion": 39,
            "editable": true,
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "10s",
            "links": [{"type": "dashboards", "tags": ["osapi"], "title": "osapi", "asDropdown": true}],
            "templating": {"list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                variable("job", &metrics.named("label_values(osapi_build_info, job)")),
                variable("instance", &metrics.named("label_values(osapi_build_info{job=~\"$job\"}, instance)")),
            ]},
            "panels": panels,
        });
        Dashboard {
            name: self.name,
            json,
        }
    }
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    })
}

impl Panel {
    fn document(&self, at: usize, metrics: &Metrics) -> Value {
        let queries = self.queries.iter().zip('A'..);
        let targets: Vec<_> = queries
            .map(|((expr, legend), id)| {
                json!({
                    "refId": id.to_string(),
                    "expr": metrics.named(expr),
                    "legendFormat": legend,
                    "exemplar": expr.contains("_bucket"),
                })
            })
            .collect();
        json!({
            "id": at + 1,
            "type": "timeseries",
            "title": self.title,
            "description": self.about,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"x": at % COLUMNS * WIDTH, "y": at / COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {
                "defaults": {"unit": self.unit, "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
                "overrides": [],
            },
            "options": {
                "tooltip": {"mode": "multi", "sort": "desc"},
                "legend": {"displayMode": "list", "placement": "bottom"},
            },
            "targets": targets,
        })
    }
}
