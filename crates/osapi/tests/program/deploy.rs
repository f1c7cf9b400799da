//! What `ops/deploy/` says is what the program takes: its very command lines are run, with only the places
//! of another machine (addresses, directories) replaced.

mod with_nats {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use serde_json::Value;
    use xtask::NatsServer;
    use xtask::tools::workspace;

    use crate::support::{Server, osapi, spawn, until};

    const KEY: &str = "a key for tests that is long enough for anybody";

    fn file(path: &str) -> String {
        let path = workspace().join("ops/deploy").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    fn yaml(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    }

    /// Replaces the places of the machine that the files are for.
    struct Places(Vec<(String, String)>);

    impl Places {
        fn new(dir: &Path, broker: &NatsServer) -> Self {
            let dir = dir.display();
            let at = |place: &str, here: String| (place.to_owned(), here);
            Self(vec![
                at("nats://nats:4222", broker.url()),
                at("/etc/osapi", format!("{dir}/etc")),
                at("/var/lib/osapi", format!("{dir}/data")),
                at("/tmp/osapi", format!("{dir}/data")),
                at("/run/osapi", format!("{dir}/data")),
                at("/secret", format!("{dir}/secret")),
                at(":8080", ":0".to_owned()),
                at(":9091", ":0".to_owned()),
                at("${OSAPI_SIGNING_KEY:?set a signing key}", KEY.to_owned()),
            ])
        }

        fn here(&self, text: &str) -> String {
            let replaced = self.0.iter();
            replaced.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        }
    }

    /// Starts a command line of a file, and waits until it says that it is ready.
    async fn comes_up(dir: &Path, words: &[String], environment: &[(String, String)]) -> Server {
        assert!(words[0].ends_with("osapi"), "{words:?}");
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let mut command: Command = osapi(&arguments);
        command.envs(environment.iter().cloned());
        let data = dir.join("data");
        let _ = std::fs::remove_file(data.join("osapi.addr"));
        let server = spawn(command, dir, |said| {
            if let Some((_, line)) = said.split_once("osapi worker: http://") {
                return Some(line.split_once("/health\n")?.0.parse().unwrap());
            }
            let text = std::fs::read_to_string(data.join("osapi.addr")).ok()?;
            Some(text.strip_suffix('\n')?.parse().unwrap())
        });
        for path in ["/health", "/health/ready"] {
            until("it is well", async || {
                (server.get(path).await.0 == 200).then_some(())
            })
            .await;
        }
        server
    }

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for inner in ["etc", "data", "secret"] {
            std::fs::create_dir(dir.path().join(inner)).unwrap();
        }
        let path = dir.path().to_owned();
        (dir, path)
    }

    #[tokio::test]
    async fn the_systemd_units_start_osapi() {
        let broker = NatsServer::start();
        let (_dir, dir) = directory();
        let places = Places::new(&dir, &broker);
        // The units leave the configuration to whoever uses them.
        let config = format!(
            "queue: {{ backend: nats, nats: {{ url: {:?} }} }}\n\
             api: {{ listen: 127.0.0.1:0 }}\ntelemetry: {{ metrics: {{ enabled: true }} }}\n",
            broker.url()
        );
        std::fs::write(dir.join("etc/osapi.yaml"), config).unwrap();
        let mut running = Vec::new();
        for unit in ["osapi-api.service", "osapi-worker.service"] {
            let text = file(&format!("systemd/{unit}"));
            let value = |key: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(key));
                places.here(line.unwrap_or_else(|| panic!("no {key} in {unit}")))
            };
            let mut words: Vec<String> = value("ExecStart=")
                .split(' ')
                .map(ToOwned::to_owned)
                .collect();
            if unit.contains("worker") {
                // Where it listens unless told: other tests may run a worker, too.
                let free = [
                    "--set".to_owned(),
                    "telemetry.metrics.listen=127.0.0.1:0".to_owned(),
                ];
                words.extend(free);
            }
            let environment = value("Environment=");
            let (name, setting) = environment.split_once('=').unwrap();
            let environment = [(name.to_owned(), setting.to_owned())];
            running.push(comes_up(&dir, &words, &environment).await);
        }
    }

    #[tokio::test]
    async fn the_compose_file_starts_osapi() {
        let broker = NatsServer::start();
        let (_dir, dir) = directory();
        let places = Places::new(&dir, &broker);
        let compose = yaml(&file("compose/compose.yaml"));
        let mut running = Vec::new();
        for name in ["api", "worker"] {
            let service = &compose["services"][name];
            let words = words(&service["command"], &places);
            let environment = service["environment"].as_object().unwrap().iter();
            let environment: Vec<_> = environment
                .map(|(name, value)| (name.clone(), places.here(value.as_str().unwrap())))
                .collect();
            assert!(
                environment.len() >= 5,
                "what both have in common: {environment:?}"
            );
            running.push(comes_up(&dir, &words, &environment).await);
        }
        let images = compose["services"]["nats"]["image"].as_str().unwrap();
        assert!(images.starts_with("nats:2."), "{images}");
    }

    #[tokio::test]
    async fn the_kubernetes_example_starts_osapi() {
        let broker = NatsServer::start();
        let (_dir, dir) = directory();
        let places = Places::new(&dir, &broker);
        let text = file("kubernetes/osapi.yaml");
        let documents: Vec<Value> = text.split("\n---\n").map(yaml).collect();
        let of = |kind: &str| -> Vec<&Value> {
            let all = documents.iter();
            all.filter(|document| document["kind"] == kind).collect()
        };
        let config = of("ConfigMap")[0]["data"]["osapi.yaml"].as_str().unwrap();
        // One broker, that lets everybody in, takes the place of a cluster.
        let config = places.here(config).replace("replicas: 3", "replicas: 1");
        let credentials = format!("credentials: {}/secret/nats.creds, ", dir.display());
        assert!(config.contains(&credentials));
        let config = config.replace(&credentials, "");
        std::fs::write(dir.join("etc/osapi.yaml"), config).unwrap();
        std::fs::write(dir.join("secret/signing-key"), KEY).unwrap();

        let mut running = Vec::new();
        for deployment in of("Deployment") {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            let pod = &deployment["spec"]["template"]["spec"];
            assert_eq!(pod["enableServiceLinks"], false, "{name}");
            assert!(
                pod["terminationGracePeriodSeconds"].as_u64() > Some(50),
                "{name}"
            );
            let container = &pod["containers"][0];
            let server = comes_up(&dir, &words(&container["args"], &places), &[]).await;
            for probe in ["livenessProbe", "readinessProbe"] {
                let get = &container[probe]["httpGet"];
                let mut ports = container["ports"].as_array().unwrap().iter();
                assert!(
                    ports.any(|port| port["name"] == get["port"]),
                    "{name}: {get}"
                );
                let (status, _) = server.get(get["path"].as_str().unwrap()).await;
                assert_eq!(status, 200, "{name}: {get}");
            }
            running.push(server);
        }
        // Whoever monitors finds them, and metrics there.
        let monitored = of("ServiceMonitor")[0]["spec"]["selector"]["matchLabels"].clone();
        assert_eq!(of("Service")[0]["metadata"]["labels"], monitored);
        let workers = of("PodMonitor")[0]["spec"]["selector"]["matchLabels"].clone();
        let template = &of("Deployment")[1]["spec"]["template"]["metadata"]["labels"];
        assert_eq!(*template, workers);
        for server in &running {
            assert_eq!(server.get("/metrics").await.0, 200);
        }
    }

    fn words(command: &Value, places: &Places) -> Vec<String> {
        let words = command.as_array().unwrap().iter();
        words
            .map(|word| places.here(word.as_str().unwrap()))
            .collect()
    }
}
