//! Which files and directories are trusted: one rule, by owner, group and mode.
//!
//! A user who can write to the data directory can plant keys in it, or links that lead a gateway of root to files of
//! other programs. So a file or directory is trusted only if it belongs to the user of this process or to root, and if
//! no other users can write to it. A volume that a container platform hands over (`fsGroup` in Kubernetes) has another
//! shape: mode 2775, any owner, and a group that the process belongs to. That group was chosen for the process, so its
//! members may write.
//!
//! It must never ask the system anything: what was found is an argument. Lists of access rights beyond the mode are not
//! read; where there are some, the mode of the group shows the most that any of them grants.
//!
//! Rejected: to change the owner or mode of what is found, because what was planted before would then be trusted.

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    /// A link, a pipe, a device.
    Other,
}

/// What the system says of a file or directory.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub kind: Kind,
    pub owner: u32,
    pub group: u32,
    /// The permission bits.
    pub mode: u32,
    /// How many names it has.
    pub names: u64,
}

/// The user and the groups of this process.
#[derive(Clone, Debug)]
pub struct Process {
    pub user: u32,
    pub groups: Vec<u32>,
}

/// Why a file or directory is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is a link or a device where a file should be.
    #[error("it is no plain file")]
    NoFile,
    /// It has a second name, under which another program may write to it.
    #[error("it has a second name, under which another program may write to it")]
    SecondName,
    /// It belongs to another user.
    #[error("it belongs to the user {owner}, and this process to {user}")]
    Owner {
        /// The user's id.
        owner: u32,
        /// The id of the user of this process.
        user: u32,
    },
    /// Every user can write to it.
    #[error("every user of this machine can write to it")]
    Everyone,
    /// A group can write to it that this process does not belong to.
    #[error("the group {group} can write to it, to which this process does not belong")]
    Group {
        /// The group's id.
        group: u32,
    },
}

/// What is done about the mode of something that is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Nothing: it is closed to other users, or was handed over to a group of this process.
    Leave,
    /// All rights of other users are taken away.
    Close,
    /// The operator is told that other users may read it: this process cannot or should not change that.
    Tell,
}

const ROOT: u32 = 0;
const EVERYONE_WRITES: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const OTHERS: u32 = 0o077;
/// On a directory: what is made in it belongs to the directory's group.
const SETGID: u32 = 0o2000;

/// Whether what was `found` where something of the `expected` kind should be can be trusted by `process`.
///
/// # Errors
/// If it cannot: why.
pub fn judge(found: &Found, expected: Kind, process: &Process) -> Result<(), Distrust> {
    if found.kind != expected {
        return Err(Distrust::NoFile);
    }
    if expected == Kind::File && found.names > 1 {
        return Err(Distrust::SecondName);
    }
    if found.mode & EVERYONE_WRITES != 0 {
        return Err(Distrust::Everyone);
    }
    let is_of_group = process.groups.contains(&found.group);
    if found.mode & GROUP_WRITES != 0 && !is_of_group {
        return Err(Distrust::Group { group: found.group });
    }
    // Root needs nothing to be handed over.
    let may_be_of_others = process.user != ROOT && is_handed_over(found, process);
    if found.owner != process.user && found.owner != ROOT && !may_be_of_others {
        return Err(Distrust::Owner { owner: found.owner, user: process.user });
    }
    Ok(())
}

/// Whether a group of `process` was given what was `found`.
fn is_handed_over(found: &Found, process: &Process) -> bool {
    let is_shared = found.mode & GROUP_WRITES != 0 && process.groups.contains(&found.group);
    is_shared && (found.kind == Kind::File || found.mode & SETGID != 0)
}

/// What to do about the mode of what was `found`, which is trusted, and, if it is a directory, is for a store alone if
/// it `is_ours`.
pub fn closing(found: &Found, process: &Process, is_ours: bool) -> Closing {
    if found.mode & OTHERS == 0 {
        return Closing::Leave;
    }
    match found.kind {
        Kind::Directory if is_handed_over(found, process) => Closing::Leave,
        Kind::File if found.owner != process.user && found.mode & 0o007 == 0 => Closing::Leave,
        _ if found.owner == process.user && is_ours => Closing::Close,
        _ => Closing::Tell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 65532;

    fn process(user: u32) -> Process {
        Process { user, groups: vec![user, 100] }
    }

    fn found(kind: Kind, owner: u32, group: u32, mode: u32) -> Found {
        Found { kind, owner, group, mode, names: 1 }
    }

    /// Owner, group, mode, and who is told what: a process of root, and one of a user who is in the groups 65532 and
    /// 100.
    #[test]
    fn directories_are_trusted_by_owner_group_and_mode() {
        let of = |owner, user| Err(Distrust::Owner { owner, user });
        let (everyone, group) = (Err(Distrust::Everyone), |group| Err(Distrust::Group { group }));
        for (owner, gid, mode, root, user) in [
            (0, 0, 0o700, Ok(()), Ok(())),
            (0, 0, 0o755, Ok(()), Ok(())),
            (0, 0, 0o775, Ok(()), group(0)),
            (ME, ME, 0o700, of(ME, 0), Ok(())),
            (ME, ME, 0o755, of(ME, 0), Ok(())),
            (ME, ME, 0o775, group(ME), Ok(())),
            (1000, 1000, 0o700, of(1000, 0), of(1000, ME)),
            // What Kubernetes makes of a volume with fsGroup, whatever its owner is.
            (0, ME, 0o2775, group(ME), Ok(())),
            (0, 100, 0o2775, Ok(()), Ok(())),
            (1000, 100, 0o2775, of(1000, 0), Ok(())),
            (1000, 100, 0o2770, of(1000, 0), Ok(())),
            (1000, 7, 0o2775, group(7), group(7)),
            // Without the bit it was not handed over.
            (1000, 100, 0o775, of(1000, 0), of(1000, ME)),
            (1000, 100, 0o2755, of(1000, 0), of(1000, ME)),
            // Not even with the bit that keeps other users from removing what is there: they can still add to it.
            (0, 0, 0o1777, everyone, everyone),
            (0, 100, 0o2777, everyone, everyone),
            (ME, ME, 0o702, everyone, everyone),
        ] {
            let directory = found(Kind::Directory, owner, gid, mode);
            let judged = [0, ME].map(|user| judge(&directory, Kind::Directory, &process(user)));
            assert_eq!(judged, [root, user], "owner {owner}, group {gid}, mode {mode:o}");
        }
    }

    #[test]
    fn files_are_trusted_if_they_are_files_with_one_name() {
        let judged = |found: &Found| judge(found, Kind::File, &process(ME));
        assert_eq!(judged(&found(Kind::File, ME, ME, 0o644)), Ok(()));
        assert_eq!(judged(&found(Kind::File, 0, 100, 0o660)), Ok(()));
        // A process of another user wrote it into a volume with fsGroup.
        assert_eq!(judged(&found(Kind::File, 1000, 100, 0o660)), Ok(()));
        assert_eq!(judged(&found(Kind::File, 1000, 100, 0o640)), Err(Distrust::Owner { owner: 1000, user: ME }));
        assert_eq!(judged(&found(Kind::File, ME, ME, 0o666)), Err(Distrust::Everyone));
        assert_eq!(judged(&Found { names: 2, ..found(Kind::File, ME, ME, 0o600) }), Err(Distrust::SecondName));
        for kind in [Kind::Other, Kind::Directory] {
            assert_eq!(judged(&found(kind, ME, ME, 0o600)), Err(Distrust::NoFile));
        }
    }

    #[test]
    fn what_is_ours_is_closed_and_what_was_handed_over_is_left_without_a_word() {
        for (found, is_ours, expected) in [
            (found(Kind::Directory, ME, ME, 0o700), true, Closing::Leave),
            (found(Kind::Directory, ME, ME, 0o755), true, Closing::Close),
            (found(Kind::Directory, ME, ME, 0o755), false, Closing::Tell),
            (found(Kind::Directory, 0, ME, 0o2775), true, Closing::Leave),
            (found(Kind::Directory, 0, ME, 0o2775), false, Closing::Leave),
            (found(Kind::Directory, ME, ME, 0o2775), true, Closing::Leave),
            (found(Kind::Directory, 0, 0, 0o755), true, Closing::Tell),
            (found(Kind::File, ME, ME, 0o660), true, Closing::Close),
            (found(Kind::File, 0, ME, 0o660), true, Closing::Leave),
            (found(Kind::File, 0, ME, 0o664), true, Closing::Tell),
        ] {
            assert_eq!(closing(&found, &process(ME), is_ours), expected, "{found:?}");
        }
    }
}
