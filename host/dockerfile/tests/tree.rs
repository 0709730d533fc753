//! BuildKit's printed syntax trees, where they lie beside the checkout (`../shared/conformance`), against our instructions.

use std::path::{Path, PathBuf};

use shallop_dockerfile::{CommandLine, Copy, Kind, Source};

/// One instruction: its keyword in lower case, then its arguments.
type Node = Vec<String>;

/// A line of the printed tree, such as `(run ["--mount=…"] "ls" "-la")`, without the flags. `None` for ONBUILD's nesting.
fn node(line: &str) -> Option<Node> {
    let inner = line.trim().strip_prefix('(')?.strip_suffix(')')?;
    let keyword = inner.split(' ').next()?.to_owned();
    let mut rest = inner[keyword.len()..].trim_start();
    if rest.starts_with('(') {
        return None;
    }
    if rest.starts_with('[') {
        rest = rest.split_once("] ").map_or("", |(_, after)| after);
    }
    let mut words = vec![keyword];
    while let Some(text) = rest.strip_prefix('"') {
        let (word, after) = unquote(text)?;
        words.push(word);
        rest = after.trim_start();
    }
    rest.is_empty().then_some(words)
}

/// The text up to a closing quote, in Go's notation, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '"' => return Some((word, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                kind @ ('x' | 'u') => {
                    let digits: String = chars.by_ref().take(if kind == 'x' { 2 } else { 4 }).map(|(_, c)| c).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                other => other,
            },
            c => c,
        };
        word.push(c);
    }
    None
}

/// Our instruction in the same form; `None` where ours keeps too little to compare.
fn ours(kind: &Kind) -> Option<Node> {
    let (keyword, arguments) = match kind {
        Kind::From(_) | Kind::Healthcheck(_) => return None,
        Kind::Run(run) => ("run", command(&run.command)),
        Kind::Cmd(line) => ("cmd", command(line)),
        Kind::Entrypoint(line) => ("entrypoint", command(line)),
        Kind::Copy(copy) => ("copy", paths(copy)),
        Kind::Add(copy) => ("add", paths(copy)),
        Kind::Env(pairs) => ("env", flat(pairs)),
        Kind::Label(pairs) => ("label", flat(pairs)),
        Kind::Arg(arguments) => {
            let shown = |arg: &shallop_dockerfile::Arg| match &arg.default {
                Some(default) => format!("{}={default}", arg.name),
                None => arg.name.clone(),
            };
            ("arg", arguments.iter().map(shown).collect())
        }
        Kind::Expose(words) => ("expose", words.clone()),
        Kind::Volume(words) => ("volume", words.clone()),
        Kind::Shell(words) => ("shell", words.clone()),
        Kind::User(word) => ("user", vec![word.clone()]),
        Kind::Workdir(word) => ("workdir", vec![word.clone()]),
        Kind::Stopsignal(word) => ("stopsignal", vec![word.clone()]),
        Kind::Maintainer(word) => ("maintainer", vec![word.clone()]),
    };
    Some([vec![keyword.to_owned()], arguments].concat())
}

fn command(line: &CommandLine) -> Vec<String> {
    match line {
        CommandLine::Shell(text) => vec![text.clone()],
        CommandLine::Exec(words) => words.clone(),
    }
}

fn paths(copy: &Copy) -> Vec<String> {
    let source = |source: &Source| match source {
        Source::Path(path) => path.clone(),
        Source::Inline(document) => format!("<<{}", document.name),
    };
    copy.sources.iter().map(source).chain([copy.destination.clone()]).collect()
}

fn flat(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect()
}

/// Whether two nodes say the same. The tree has the kind of assignment as a third word; here-documents are compared by
/// keyword alone.
fn same(theirs: &Node, kind: &Kind) -> bool {
    let Some(ours) = ours(kind) else { return true };
    let theirs: Node = match theirs[0].as_str() {
        "env" | "label" => {
            [&theirs[..1], &theirs[1..].chunks(3).flat_map(|c| c[..2].to_vec()).collect::<Vec<_>>()].concat()
        }
        _ => theirs.clone(),
    };
    match theirs.iter().any(|word| word.contains("<<")) {
        true => theirs[0] == ours[0],
        false => theirs == ours,
    }
}

/// What differs, or why the file is not compared.
fn compare(dockerfile: &str, tree: &str) -> Result<Option<String>, String> {
    let theirs: Vec<Node> = tree.lines().map(node).collect::<Option<_>>().ok_or("ONBUILD")?;
    // The tree's files need not begin with FROM; an instruction before it would be refused.
    let has_from = theirs.iter().find(|node| node[0] != "arg").is_some_and(|node| node[0] == "from");
    let text = if has_from { dockerfile.to_owned() } else { format!("FROM scratch\n{dockerfile}") };
    let file = shallop_dockerfile::parse(&text).map_err(|error| error.to_string())?;
    let kinds = file.stages.iter().flat_map(|stage| &stage.instructions).map(|instruction| &instruction.kind);
    let kinds: Vec<&Kind> = kinds.collect();
    let theirs: Vec<&Node> = theirs.iter().skip_while(|node| has_from && node[0] == "arg").collect();
    let theirs: Vec<&Node> = theirs.into_iter().filter(|node| node[0] != "from").collect();
    if theirs.len() != kinds.len() {
        return Ok(Some(format!("{} instructions instead of {}", kinds.len(), theirs.len())));
    }
    let wrong = theirs.iter().zip(&kinds).find(|(node, kind)| !same(node, kind));
    Ok(wrong.map(|(node, kind)| format!("{:?} instead of {node:?}", ours(kind))))
}

fn cases() -> Vec<(PathBuf, &'static str)> {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/dockerfile");
    let mut cases = Vec::new();
    for (folder, tree) in [("parser/testfiles", "result"), ("inline", "ast.txt")] {
        let Ok(entries) = std::fs::read_dir(set.join(folder)) else { continue };
        cases.extend(entries.filter_map(|entry| Some((entry.ok()?.path(), tree))));
    }
    cases.sort();
    cases
}

#[test]
fn syntax_trees() {
    let (mut agreed, mut wrong) = (0, Vec::new());
    let all = cases();
    if all.is_empty() {
        println!("skipped: no conformance set beside the checkout");
    }
    for (folder, tree) in all {
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let (Ok(dockerfile), Ok(tree)) = (read("Dockerfile"), read(tree)) else { continue };
        let name = folder.file_name().unwrap_or_default().display().to_string();
        match compare(&dockerfile, &tree) {
            Ok(None) => agreed += 1,
            Ok(Some(difference)) => wrong.push(format!("{name}: {difference}")),
            Err(reason) => println!("skipped {name}: {reason}"),
        }
    }
    println!("{agreed} agreed, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
