//! Groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::json;
use crate::domain::{Group, GroupId};

/// Writes each group as it is in its last version, new ones in their order. The resources are a list with commas, since the
/// database has no lists of lists of different lengths; a name has no comma in it.
const WRITE: &str = "\
    INSERT INTO groups (id, ended_ms, resources, record) \
    SELECT id, ended_ms, string_to_array(resources, ','), record \
    FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS new (id, ended_ms, resources, record, place) ORDER BY place \
    ON CONFLICT (id) DO UPDATE SET ended_ms = excluded.ended_ms, record = excluded.record";

pub(super) fn write<'a>(batch: &mut Batch, groups: impl Iterator<Item = &'a Arc<Group>>) -> Result<(), Fault> {
    let mut latest: Vec<&Group> = Vec::new();
    let mut places: BTreeMap<GroupId, usize> = BTreeMap::new();
    for group in groups {
        let place = *places.entry(group.id).or_insert(latest.len());
        match latest.get_mut(place) {
            Some(before) => *before = group,
            None => latest.push(group),
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let resources =
        |group: &Group| group.members.iter().map(|member| member.resource.as_str()).collect::<Vec<_>>().join(",");
    batch.add(
        WRITE,
        parameters![
            latest.iter().map(|group| group.id.to_string()).collect::<Vec<String>>(),
            latest.iter().map(|group| group.end.as_ref().map(|end| end.at.as_millis())).collect::<Vec<Option<i64>>>(),
            latest.iter().map(|group| resources(group)).collect::<Vec<String>>(),
            latest.iter().map(json).collect::<Result<Vec<String>, Fault>>()?,
        ],
    );
    Ok(())
}
