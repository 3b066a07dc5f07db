//! What a service is started with: flags before `DRYDOCK_*` variables before the file before defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::service::{PortRange, check_speed};
use crate::yaml;

/// As given by flags and variables, or by the file: every setting may be absent.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the management API. On any address but loopback an API token is demanded [default: 127.0.0.1:8080]
    #[arg(long, env = "DRYDOCK_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Folder of everything that must survive: the management database and one folder for each cluster
    /// [default: $XDG_DATA_HOME/drydock or ~/.local/share/drydock]
    #[arg(long, env = "DRYDOCK_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// How many times as fast as real time the clusters' clocks run; 0 stops them, to be stepped by
    /// `drydock cluster clock` [default: 1]
    #[arg(long, env = "DRYDOCK_SPEED", value_name = "N", allow_negative_numbers = true)]
    pub speed: Option<f64>,

    /// File that holds the API token, which clients send as `Authorization: Bearer TOKEN`
    #[arg(long, env = "DRYDOCK_API_TOKEN_FILE", value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,

    /// The API token itself; the variable keeps it out of process lists
    #[arg(long, env = "DRYDOCK_API_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub api_token: Option<String>,

    /// Address that the clusters' endpoints are bound on [default: 127.0.0.1]
    #[arg(long, env = "DRYDOCK_CLUSTER_ADDRESS", value_name = "ADDRESS")]
    pub cluster_address: Option<IpAddr>,

    /// Name or address that kubeconfigs hold [default: the cluster address]
    #[arg(long, env = "DRYDOCK_CLUSTER_HOST", value_name = "HOST")]
    pub cluster_host: Option<String>,

    /// Ports for clusters' endpoints; each cluster keeps its own [default: 20000-29999]
    #[arg(long, env = "DRYDOCK_CLUSTER_PORTS", value_name = "FROM-TO")]
    pub cluster_ports: Option<String>,

    /// Endpoint of the AWS API, for LocalStack: http://127.0.0.1:4566 (AWS_ENDPOINT_URL is heeded as well)
    #[arg(long, env = "DRYDOCK_AWS_ENDPOINT", value_name = "URL")]
    pub aws_endpoint: Option<String>,

    /// What is logged on standard error: error, warn, info, debug, trace, or a filter such as drydock=debug,info
    /// [default: info; warn for up]
    #[arg(long, env = "DRYDOCK_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How it is logged: text or json [default: text]
    #[arg(long, env = "DRYDOCK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// What a service runs with.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub speed: f64,
    pub api_token: Option<String>,
    pub cluster_ports: PortRange,
    pub cluster_host: String,
    pub aws_endpoint: Option<String>,
    pub log: Option<String>,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is wrong with a setting. Its name is that of the flag without dashes, and of the key in the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}: {message}")]
    Setting { name: &'static str, message: String },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
}

type Result<T, E = ConfigError> = std::result::Result<T, E>;

impl Settings {
    /// Settles every setting. `file` is read for what flags and variables leave open.
    ///
    /// # Errors
    /// The setting that is wrong, and why.
    pub fn settle(self, file: Option<&Path>) -> Result<Config> {
        let settings = match file {
            Some(path) => self.over(from_file(path)?),
            None => self,
        };
        settings.resolve(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            data_dir: self.data_dir.or(below.data_dir),
            speed: self.speed.or(below.speed),
            api_token_file: self.api_token_file.or(below.api_token_file),
            api_token: self.api_token.or(below.api_token),
            cluster_address: self.cluster_address.or(below.cluster_address),
            cluster_host: self.cluster_host.or(below.cluster_host),
            cluster_ports: self.cluster_ports.or(below.cluster_ports),
            aws_endpoint: self.aws_endpoint.or(below.aws_endpoint),
            log: self.log.or(below.log),
            log_format: self.log_format.or(below.log_format),
        }
    }

    fn resolve(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
        let listen = listen(self.listen.as_deref().unwrap_or("127.0.0.1:8080"))?;
        let api_token = token(self.api_token, self.api_token_file.as_deref())?;
        if !listen.ip().is_loopback() && api_token.is_none() {
            let message = format!(
                "{listen} can be reached from other machines, so an API token is demanded: set DRYDOCK_API_TOKEN or \
                 --api-token-file, or listen on 127.0.0.1"
            );
            return Err(wrong("listen", message));
        }
        let speed = self.speed.unwrap_or(1.0);
        check_speed(speed).map_err(|message| wrong("speed", message))?;
        let address = self.cluster_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let cluster_ports = ports(address, self.cluster_ports.as_deref().unwrap_or("20000-29999"))?;
        let cluster_host = match self.cluster_host {
            Some(host) => host,
            None if address.is_unspecified() => {
                let message = format!("is required, since {address} is no address that clients can use");
                return Err(wrong("cluster-host", message));
            }
            None => address.to_string(),
        };
        let log_format = match self.log_format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(wrong("log-format", format!("{other:?} must be text or json"))),
        };
        Ok(Config {
            listen,
            data_dir: self.data_dir.map_or_else(|| default_data_dir(variable), Ok)?,
            speed,
            api_token,
            cluster_ports,
            cluster_host,
            aws_endpoint: self.aws_endpoint.or_else(|| variable("AWS_ENDPOINT_URL")),
            log: self.log,
            log_format,
        })
    }
}

fn wrong(name: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Setting { name, message: message.into() }
}

fn from_file(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Settings::default());
    }
    yaml::read(&text).map_err(|message| ConfigError::File { path: path.to_owned(), message })
}

/// `localhost` stands for 127.0.0.1; other names would need a resolver.
fn listen(text: &str) -> Result<SocketAddr> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let message = || format!("{text:?} must be ADDRESS:PORT such as 127.0.0.1:8080");
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| wrong("listen", message()))
}

fn token(given: Option<String>, file: Option<&Path>) -> Result<Option<String>> {
    let token = match (given, file) {
        (Some(token), _) => token,
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
        (None, None) => return Ok(None),
    };
    let token = token.trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("api-token", "must be at least 16 visible ASCII characters"));
    }
    Ok(Some(token.to_owned()))
}

fn ports(address: IpAddr, text: &str) -> Result<PortRange> {
    let message = || format!("{text:?} must be FROM-TO such as 20000-29999, between 1024 and 65535");
    let range = text
        .split_once('-')
        .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    match range {
        Some((from, to)) if from >= 1024 && from <= to => Ok(PortRange { address, from, to }),
        _ => Err(wrong("cluster-ports", message())),
    }
}

fn default_data_dir(variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf> {
    if let Some(data) = variable("XDG_DATA_HOME") {
        return Ok(PathBuf::from(data).join("drydock"));
    }
    let home = variable("HOME").ok_or_else(|| wrong("data-dir", "is required, since HOME is not set"))?;
    Ok(PathBuf::from(home).join(".local/share/drydock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(settings: Settings) -> Result<Config> {
        settings.resolve(&|name| (name == "HOME").then(|| "home".to_owned()))
    }

    #[track_caller]
    fn refused(settings: Settings, says: &str) {
        assert_eq!(resolve(settings).unwrap_err().to_string(), says);
    }

    #[test]
    fn defaults_are_loopback_and_the_users_data_folder() {
        let config = resolve(Settings::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data_dir, Path::new("home/.local/share/drydock"));
        assert_eq!(config.cluster_ports.to_string(), "20000-29999");
        assert_eq!((config.cluster_host.as_str(), config.speed), ("127.0.0.1", 1.0));
    }

    #[test]
    fn an_address_of_the_world_demands_a_token() {
        let open = || Settings { listen: Some("0.0.0.0:80".into()), ..Settings::default() };
        refused(
            open(),
            "listen: 0.0.0.0:80 can be reached from other machines, so an API token is demanded: set DRYDOCK_API_TOKEN \
             or --api-token-file, or listen on 127.0.0.1",
        );
        refused(
            Settings { api_token: Some("short".into()), ..open() },
            "api-token: must be at least 16 visible ASCII characters",
        );
        assert!(resolve(Settings { api_token: Some("0123456789abcdef".into()), ..open() }).is_ok());
    }

    #[test]
    fn wrong_settings_are_named() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings
        };
        refused(
            with(|s| s.listen = Some("here".into())),
            "listen: \"here\" must be ADDRESS:PORT such as 127.0.0.1:8080",
        );
        for (speed, shown) in [(-1.0, "-1"), (f64::NAN, "NaN"), (100_001.0, "100001")] {
            refused(
                Settings { speed: Some(speed), ..Settings::default() },
                &format!("speed: {shown} must be 0, which stops the clock, or between 0.001 and 100000"),
            );
        }
        refused(
            with(|s| s.cluster_ports = Some("9-1".into())),
            "cluster-ports: \"9-1\" must be FROM-TO such as 20000-29999, between 1024 and 65535",
        );
        refused(
            with(|s| s.cluster_address = Some(IpAddr::from([0, 0, 0, 0]))),
            "cluster-host: is required, since 0.0.0.0 is no address that clients can use",
        );
        refused(with(|s| s.log_format = Some("xml".into())), "log-format: \"xml\" must be text or json");
    }

    #[test]
    fn flags_come_before_the_file_and_the_files_mistakes_are_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drydock.yaml");
        std::fs::write(&path, "listen: 127.0.0.1:1\nspeed: 60\n").unwrap();
        let flags = Settings { listen: Some("127.0.0.1:2".into()), ..Settings::default() };
        let settings = flags.over(from_file(&path).unwrap());
        let config = resolve(settings).unwrap();
        assert_eq!((config.listen.port(), config.speed), (2, 60.0));

        std::fs::write(&path, "listen: 127.0.0.1:1\nspede: 60\n").unwrap();
        let message = from_file(&path).unwrap_err().to_string();
        assert!(message.contains("spede") && message.contains("line 2"), "{message}");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(from_file(&path).is_ok());
    }
}
