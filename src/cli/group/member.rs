//! A member of a group, and a stage, as they are written on the command line.

use std::str::FromStr;

use crate::api::{GroupMemberWish, GroupTarget};
use crate::cli::scale::Target;
use crate::domain::Alias;

/// `db=3`, `api=+2`, `worker=-1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The resource.
    pub resource: Alias,
    /// Where it goes.
    pub target: Target,
}

impl FromStr for GroupMember {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (resource, target) =
            text.split_once('=').ok_or("write a resource and its target, such as db=3 or api=+2")?;
        let resource = resource.parse().map_err(|error| format!("{error}"))?;
        let target = target.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { resource, target })
    }
}

impl From<Target> for GroupTarget {
    fn from(target: Target) -> Self {
        let wish = match target {
            Target::Capacity(units) => GroupMemberWish { target_capacity: Some(units), ..GroupMemberWish::default() },
            Target::Delta(units) => GroupMemberWish { delta: Some(units), ..GroupMemberWish::default() },
        };
        Self::Wish(wish)
    }
}

/// The resources of a stage: `api+worker`. Whether they are members is for the gateway to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageArg {
    /// Their names.
    pub resources: Vec<String>,
}

impl FromStr for StageArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let resources: Vec<String> = text.split('+').map(str::to_owned).collect();
        if resources.iter().any(String::is_empty) {
            return Err("write stages as db,api+worker: a comma between stages, a plus between resources of one stage");
        }
        Ok(Self { resources })
    }
}
