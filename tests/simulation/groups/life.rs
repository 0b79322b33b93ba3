//! Doing what a scenario says about groups.

use std::collections::BTreeMap;

use scalegate::domain::{Group, GroupRequest};
use scalegate::store::SubmitKey;

use super::{GroupAct, GroupPlan};
use crate::life::{Lived, fingerprint};
use crate::referee::Request;
use crate::scenario::Submission;

impl Lived {
    pub fn perform_on_group(&mut self, act: &GroupAct) {
        match act {
            GroupAct::Submit(plan) => {
                self.groups.push(plan.clone());
                self.submit_group(plan);
            }
            GroupAct::SubmitAgain(which) => {
                if let Some(plan) = self.groups.get(*which).cloned() {
                    self.submit_group(&plan);
                }
            }
            GroupAct::Cancel(which) => {
                if let Some(id) = self.group(*which).map(|group| group.id) {
                    self.machine.surroundings.coverage.count("group canceled");
                    self.machine.cancel_group(id);
                }
            }
            GroupAct::CancelMember { group, member } => {
                let member = self.group(*group).and_then(|group| group.members.get(*member)).cloned();
                if let Some(member) = member {
                    self.machine.surroundings.coverage.count("member of a group canceled");
                    self.machine.cancel_on(&member.resource, member.job);
                }
            }
        }
    }

    /// The so-manieth group that is on the disk.
    fn group(&self, which: usize) -> Option<&Group> {
        self.machine.disk.groups().nth(which)
    }

    fn submit_group(&mut self, plan: &GroupPlan) {
        let key = plan.key.map(|key| SubmitKey { key: format!("group-key-{key}"), fingerprint: fingerprint(plan) });
        let to = self.machine.next_request();
        let request = Request { key: key.as_ref().map(|key| key.key.clone()) };
        self.machine.surroundings.requests.insert(to, request);
        let request = self.group_request(plan);
        self.machine.submit_group(request, key);
    }

    fn group_request(&self, plan: &GroupPlan) -> GroupRequest {
        let members = plan.members.iter().map(|member| {
            let request = self.request_of(&Submission {
                resource: member.resource,
                goal: member.goal,
                on_conflict: plan.on_conflict,
                step_size: plan.step_size,
                cooldown: plan.cooldown,
                settles_slowly: false,
                deadline: plan.deadline,
                key: None,
            });
            (request, member.stage)
        });
        GroupRequest {
            members: members.collect(),
            on_failure: plan.on_failure,
            reason: None,
            labels: BTreeMap::new(),
            attempt: None,
        }
    }
}
