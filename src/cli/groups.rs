//! `scalegate groups`: look at the groups of a running gateway, follow them, cancel them.

#[cfg(test)]
mod tests;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use uuid::Uuid;

use super::client::{Client, Failure, GatewayArgs, ListQuery};
use super::exit::{self, Exit};
use super::follow::FollowArgs;
use super::group::{details, to_the_end};
use super::output::Output;
use super::words;
use crate::api::view::{GroupList, GroupView};
use crate::domain::{Alias, GroupState};

/// Most groups on a page of the gateway's.
const MAX_PAGE_SIZE: usize = 200;
/// What is shown of each group in a list.
const HEADER: [&str; 6] = ["ID", "STATE", "STAGES", "STEPS", "AGE", "RESOURCES"];

/// List, show, follow or cancel groups.
///
/// Without an ID, lists groups, newest first. With an ID, shows that group and its members.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct GroupsArgs {
    /// The group to show
    #[arg(value_name = "ID")]
    pub id: Option<Uuid>,

    #[command(flatten)]
    pub gateway: GatewayArgs,

    /// List only groups with this resource
    #[arg(long, value_name = "ALIAS", conflicts_with = "id")]
    pub resource: Option<Alias>,

    /// List only groups in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_enum, hide_possible_values = false, conflicts_with = "id")]
    pub states: Vec<GroupState>,

    /// List at most this many groups
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "id",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    #[command(flatten)]
    pub follow: FollowArgs,

    /// Cancel the group with all of its jobs; with --wait, until it is over
    #[arg(long, requires = "id")]
    pub cancel: bool,

    /// Print JSON and nothing else: the group (with --wait, as it ended), or the list as the gateway gives it
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: GroupsArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(super::until_told_to_stop(), &mut output).await;
    output.finish(exit)
}

impl GroupsArgs {
    /// Runs the command. `stop` ends the following of a group.
    async fn run(self, stop: impl Future<Output = ()>, output: &mut Output) -> Exit {
        let command = async |client: &Client, output: &mut Output| match self.id {
            Some(id) => self.run_for(id, client, stop, output).await,
            None if self.follow.wait => Err(Failure::Usage("--wait needs the ID of a group".to_owned())),
            None => self.list(client, output).await,
        };
        self.gateway.run(output, command).await
    }

    async fn run_for(
        &self,
        id: Uuid,
        client: &Client,
        stop: impl Future<Output = ()>,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let group = if self.cancel { cancel(client, id).await? } else { client.group(id).await? };
        if self.follow.wait {
            if !self.json {
                output.lines(details(&group, words::now()));
            }
            let ended = to_the_end((client, &self.gateway), group, (&self.follow, self.json), stop, output).await?;
            let as_asked = self.cancel && ended.state == GroupState::Canceled;
            return Ok(if as_asked { Exit::Done } else { Exit::of_group(&ended) });
        }
        if self.json {
            output.json(&group);
        } else if self.cancel {
            output.line(canceled(&group));
        } else {
            output.lines(details(&group, words::now()));
        }
        Ok(Exit::Done)
    }

    async fn list(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let query = ListQuery {
            resource: self.resource.as_ref().map(|resource| resource.as_str().to_owned()),
            states: self.states.iter().map(|state| state.as_str()).collect(),
            ..ListQuery::default()
        };
        let list = fetch(client, query, self.limit as usize).await?;
        if self.json {
            output.json(&list);
        } else if list.groups.is_empty() {
            let is_filtered = self.resource.is_some() || !self.states.is_empty();
            output.notice(if is_filtered { "no such groups" } else { "no groups yet" });
        } else {
            let now = words::now();
            output.table(HEADER, list.groups.iter().map(|group| row(group, now)));
            output.more(list.next_page_token.is_some());
        }
        Ok(Exit::Done)
    }
}

/// Cancels a group. Asked again, for instance because the first answer was lost, a group that has been canceled is as good.
async fn cancel(client: &Client, id: Uuid) -> Result<GroupView, Failure> {
    let refused = match client.cancel_group(id).await {
        Err(failure) if failure.is_about_a_finished_group() => failure,
        answered => return answered,
    };
    let group = client.group(id).await?;
    if group.state == GroupState::Canceled { Ok(group) } else { Err(refused) }
}

/// At most `limit` groups, in as many pages as it takes. The token for the page after them tells that there are more.
async fn fetch(client: &Client, mut query: ListQuery, limit: usize) -> Result<GroupList, Failure> {
    let mut groups = Vec::new();
    loop {
        query.page_size = MAX_PAGE_SIZE.min(limit - groups.len());
        let page = client.groups(&query).await?;
        groups.extend(page.groups);
        query.page_token = page.next_page_token;
        if query.page_token.is_none() || groups.len() >= limit {
            return Ok(GroupList { groups, next_page_token: query.page_token });
        }
    }
}

fn row(group: &GroupView, now: crate::domain::Timestamp) -> [String; HEADER.len()] {
    let stages = group.members.iter().map(|member| member.stage).max().unwrap_or(1);
    let resources: Vec<&str> = group.members.iter().map(|member| member.resource.as_str()).collect();
    [
        group.id.to_string(),
        group.state.as_str().to_owned(),
        stages.to_string(),
        words::steps_in_brief(&group.progress),
        words::brief(now.since(group.created_at.0)),
        resources.join(", "),
    ]
}

fn canceled(group: &GroupView) -> String {
    if group.state.is_over() {
        format!("Group {} is canceled.", group.id)
    } else {
        format!("Group {} will end as canceled when the outcomes of its changes in flight are known.", group.id)
    }
}

impl ValueEnum for GroupState {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
