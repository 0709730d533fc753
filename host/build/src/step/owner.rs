//! Who owns what a step makes: `user[:group]` of `--chown` and USER.

use std::io::Read;

use anyhow::{Context as _, Result};

use crate::tree::{self, Tree};

/// Bytes of /etc/passwd or /etc/group that are looked at.
const MAX_TABLE: u64 = 1 << 20;

/// Numbers, or names out of the image's /etc/passwd and /etc/group. Without a group: that of the user's line, or for a
/// number the same number.
///
/// # Errors
/// A name that the image does not have.
pub fn parse(text: &str, image: &dyn Tree) -> Result<(u32, u32)> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let (uid, own_group) = match user {
        "" => (0, 0),
        user => match user.parse() {
            Ok(number) => (number, number),
            Err(_) => {
                let line = line(user, image, "etc/passwd")?;
                (number(&line, 2, user)?, number(&line, 3, user)?)
            }
        },
    };
    let gid = match group {
        "" => own_group,
        group => match group.parse() {
            Ok(number) => number,
            Err(_) => number(&line(group, image, "etc/group")?, 2, group)?,
        },
    };
    Ok((uid, gid))
}

/// The fields of the line that begins with `name`.
fn line(name: &str, image: &dyn Tree, table: &str) -> Result<Vec<String>> {
    let real = tree::resolve(image, table)?;
    let mut bytes = Vec::new();
    if image.entry(&real)?.is_some() {
        image.read(&real)?.take(MAX_TABLE).read_to_end(&mut bytes).with_context(|| format!("reading /{table}"))?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let found = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    found
        .into_iter()
        .find(|fields| fields.first().is_some_and(|first| first == name))
        .with_context(|| format!("invalid user or group \"{name}\": the image's /{table} has none"))
}

fn number(fields: &[String], at: usize, name: &str) -> Result<u32> {
    let number = fields.get(at).and_then(|text| text.parse().ok());
    number.with_context(|| format!("the line of \"{name}\" in the image's /etc is damaged"))
}
