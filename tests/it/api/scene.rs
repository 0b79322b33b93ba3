//! A gateway with a simulated sidecar, and where it keeps its data, so that it can be restarted.

use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::sidecar::Sidecar;
use scalegate::sim::sidecar::Behaviour;
use tempfile::TempDir;

pub struct Scene {
    pub gateway: Gateway,
    pub sidecar: Sidecar,
    pub dir: TempDir,
}

impl Scene {
    pub fn start(more: &[&str]) -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }

    /// Kills the gateway and starts another one with the same data.
    pub fn restarted(self, more: &[&str]) -> Self {
        let Self { gateway, sidecar, dir } = self;
        gateway.kill();
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }
}
