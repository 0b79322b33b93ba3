//! Following a group to its end: a line for each change of a member.

use super::words;
use crate::api::view::GroupView;
use crate::cli::client::{Client, Failure, Followed, GatewayArgs, Heard};
use crate::cli::follow::{BACK, FollowArgs};
use crate::cli::output::Output;
use crate::cli::words as common;
use crate::domain::Timestamp;

/// Follows `group`, which `gateway` has, to its end, and prints the group if `json` is asked for. `stop` ends the following.
///
/// # Errors
/// If the gateway is away for too long, does not know the group any more, or does not answer like a gateway; and
/// [`Failure::Stopped`].
pub async fn to_the_end(
    (client, gateway): (&Client, &GatewayArgs),
    group: GroupView,
    (args, json): (&FollowArgs, bool),
    stop: impl Future<Output = ()>,
    output: &mut Output,
) -> Result<GroupView, Failure> {
    let stopped = Failure::Stopped { what: Followed::Group(group.id), options: gateway.given() };
    let ended = tokio::select! {
        ended = follow(client, group, args, json, output) => ended?,
        () = stop => return Err(stopped),
    };
    if json {
        output.json(&ended);
    }
    Ok(ended)
}

async fn follow(
    client: &Client,
    mut group: GroupView,
    args: &FollowArgs,
    is_quiet: bool,
    output: &mut Output,
) -> Result<GroupView, Failure> {
    let mut events = client.group_events(group.id, args.patience);
    while !group.state.is_over() {
        match events.next().await? {
            Heard::Group(newer) => {
                if !is_quiet {
                    let now = common::now();
                    output.lines(
                        news(&group, &newer, now).iter().map(|text| format!("{}  {text}", common::clock_time(now))),
                    );
                }
                group = *newer;
            }
            Heard::Ready { back: true, .. } => output.notice(BACK),
            Heard::Ready { back: false, .. } | Heard::Job(_) | Heard::Other => {}
            Heard::Away(failure) => {
                let patience = common::brief(args.patience);
                output
                    .notice(format_args!("{failure}\n  The group is not affected. Trying again for up to {patience}."));
            }
        }
    }
    Ok(group)
}

/// What is new in `after`.
fn news(before: &GroupView, after: &GroupView, now: Timestamp) -> Vec<String> {
    let members = before.members.iter().zip(&after.members).filter(|(before, after)| {
        let restore = |member: &crate::api::view::GroupMemberView| member.restore.as_ref().map(|restore| restore.state);
        let reason = |member: &crate::api::view::GroupMemberView| {
            member.waiting_for.as_ref().map(|waiting| waiting.reason.clone())
        };
        (before.state, before.current_capacity, restore(before), reason(before))
            != (after.state, after.current_capacity, restore(after), reason(after))
    });
    let mut news: Vec<String> = members.map(|(_, after)| words::situation(after, now)).collect();
    if before.state != after.state {
        news.push(words::ending(after));
    }
    news
}
