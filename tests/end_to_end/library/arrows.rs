//! The import graph of `src`: no room uses one that stands above it, and no files of a room use
//! each other in a circle. With `--nocapture` it prints the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::sources::{is_one_of, source_files};

/// Each room with the rooms that it may use. A new room or arrow needs its place here.
const MAY_USE: [(&str, &[&str]); 22] = [
    ("error", &[]),
    ("guard", &[]),
    ("hex", &[]),
    ("notes", &[]),
    ("standard_streams", &["error"]),
    ("table", &[]),
    ("threads", &["error"]),
    // A sentence-transformer's own files say how to pool, and its dense layers are weights.
    ("vectors", &["checkpoint", "error", "model", "weights"]),
    (
        "input",
        &[
            "error",
            "guard",
            "hex",
            "notes",
            "standard_streams",
            "table",
        ],
    ),
    ("checkpoint", &["error"]),
    ("weights", &["checkpoint", "error"]),
    ("hub", &["checkpoint", "error", "guard", "hex", "notes"]),
    ("ops", &["error", "notes", "weights"]),
    ("model", &["checkpoint", "error", "ops", "weights"]),
    ("tokenize", &["checkpoint", "error", "guard", "input"]),
    // A record keeps the encoder's outputs under the encoder's names.
    (
        "record",
        &["error", "hex", "input", "model", "table", "tokenize"],
    ),
    (
        "output",
        &[
            "error",
            "hex",
            "input",
            "record",
            "standard_streams",
            "table",
            "threads",
            "tokenize",
        ],
    ),
    (
        "pipeline",
        &[
            "error", "input", "model", "notes", "ops", "output", "record", "threads", "tokenize",
            "vectors", "weights",
        ],
    ),
    (
        "options",
        &["error", "ops", "output", "record", "tokenize", "vectors"],
    ),
    (
        "cli",
        &[
            "error", "input", "ops", "options", "output", "record", "tokenize",
        ],
    ),
    (
        "app",
        &[
            "checkpoint",
            "cli",
            "error",
            "hex",
            "hub",
            "input",
            "model",
            "notes",
            "ops",
            "options",
            "output",
            "pipeline",
            "record",
            "standard_streams",
            "threads",
            "tokenize",
            "vectors",
            "weights",
        ],
    ),
    (
        "embedder",
        &[
            "app",
            "checkpoint",
            "error",
            "input",
            "model",
            "notes",
            "ops",
            "options",
            "output",
            "pipeline",
            "record",
            "threads",
            "tokenize",
            "vectors",
            "weights",
        ],
    ),
];

/// Rooms whose files may use what the file above them defines (`super::Item`), though that uses
/// them.
const MAY_USE_THE_FILE_ABOVE: [&str; 7] =
    ["app", "cli", "input", "model", "ops", "output", "tokenize"];

/// Arrows that still have to go.
const NOT_YET: [(&str, &str); 0] = [];

/// A module's path from the crate's root: `["pipeline", "types"]`.
type Module = Vec<String>;

/// Which modules each module uses, as far as both are files.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_room_uses_one_above_it() {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in arrows(&graph()).filter(|(from, to)| from[0] != to[0]) {
        rooms
            .entry(from[0].clone())
            .or_default()
            .insert(to[0].clone());
    }
    for (room, used) in &rooms {
        let used: Vec<_> = used.iter().map(String::as_str).collect();
        eprintln!("{room} → {}", used.join(", "));
    }
    for (room, used) in &rooms {
        let allowed = MAY_USE.iter().find(|(name, _)| name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("a new room: {room}"));
        for used in used {
            let is_allowed = allowed.contains(&used.as_str());
            assert!(is_allowed, "{room} uses {used}, which it may not");
        }
    }
}

#[test]
fn the_rooms_may_use_each_other_in_one_direction_only() {
    let graph = MAY_USE.iter().map(|(room, used)| {
        let used = used.iter().map(|used| vec![(*used).to_owned()]);
        (vec![(*room).to_owned()], used.collect())
    });
    assert_eq!(circle(&graph.collect()), None);
}

#[test]
fn the_files_of_a_room_use_each_other_in_one_direction_only() {
    let graph = graph();
    for (from, used) in &graph {
        let used: Vec<_> = used
            .iter()
            .filter(|to| to[0] == from[0])
            .map(|to| to.join("/"))
            .collect();
        if !used.is_empty() {
            eprintln!("{} → {}", from.join("/"), used.join(", "));
        }
    }
    assert_eq!(circle(&graph), None);
}

fn arrows(graph: &Graph) -> impl Iterator<Item = (&Module, &Module)> {
    graph
        .iter()
        .flat_map(|(from, used)| used.iter().map(move |to| (from, to)))
}

/// Modules each of which uses the next, and the last one the first.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    let mut clear = BTreeSet::new();
    graph
        .keys()
        .find_map(|start| circle_from(start, graph, &mut Vec::new(), &mut clear))
}

fn circle_from<'a>(
    module: &'a Module,
    graph: &'a Graph,
    path: &mut Vec<&'a Module>,
    clear: &mut BTreeSet<&'a Module>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|other| *other == module) {
        return Some(
            path[start..]
                .iter()
                .map(|module| module.join("/"))
                .collect(),
        );
    }
    if clear.contains(module) {
        return None;
    }
    path.push(module);
    let used = graph.get(module).into_iter().flatten();
    let found = used
        .into_iter()
        .find_map(|used| circle_from(used, graph, path, clear));
    path.pop();
    clear.insert(module);
    found
}

/// The graph of all files of `src` below `lib.rs`.
fn graph() -> Graph {
    let files = source_files(&["rs"]);
    let no_room = ["lib.rs", "internals.rs", "main.rs", "tests.rs", "tests"];
    let files = files.iter().filter(|(path, _)| !is_one_of(path, &no_room));
    let source = |(path, text): &(PathBuf, String)| (module(path), Source::new(&code(text)));
    let sources: BTreeMap<Module, Source> = files.map(source).collect();
    let used = |module: &Module, source: &Source| -> BTreeSet<Module> {
        let paths = source.paths.iter().map(|path| absolute(module, path));
        let used = paths.filter_map(|path| file_of(&path, &sources));
        used.filter(|used| used != module && !is_free(module, used))
            .collect()
    };
    let used = sources
        .iter()
        .map(|(module, source)| (module.clone(), used(module, source)));
    used.collect()
}

/// Whether `used` is a file above `module` that it may use, or the arrow is known.
fn is_free(module: &Module, used: &Module) -> bool {
    let is_known = NOT_YET.iter().any(|(from, to)| {
        let begins = |module: &Module, with: &str| module.join("/").starts_with(with);
        begins(module, from) && begins(used, to)
    });
    is_known || module.starts_with(used) && MAY_USE_THE_FILE_ABOVE.contains(&used[0].as_str())
}

/// The module that the file at `path` below `src` is.
fn module(path: &Path) -> Module {
    let path = path.with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The text without comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a file names. Each begins with `crate`, `super` or `self`.
struct Source {
    paths: Vec<Vec<String>>,
    /// Names that the file has from its own modules for others to use, with the way to them.
    reexports: BTreeMap<String, Vec<String>>,
}

impl Source {
    fn new(code: &str) -> Self {
        let tokens = tokens(code);
        let mut source = Self {
            paths: Vec::new(),
            reexports: BTreeMap::new(),
        };
        let is_child = |name: &str| {
            let declares =
                |window: &[String]| window[0] == "mod" && window[1] == name && window[2] == ";";
            tokens.windows(3).any(declares)
        };
        let mut place = 0;
        // Depth of braces, and at which depths a module inside the file began.
        let (mut depth, mut inner) = (0, Vec::new());
        let mut is_reexport = false;
        while place < tokens.len() {
            let token = tokens[place].as_str();
            match token {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inner.retain(|&began| began < depth);
                }
                "mod" if tokens.get(place + 2).is_some_and(|next| next == "{") => inner.push(depth),
                ";" => is_reexport = false,
                "use" => {
                    is_reexport =
                        place > 0 && (tokens[place - 1] == "pub" || tokens[place - 1] == ")");
                }
                _ => {}
            }
            let begins = place == 0 || tokens[place - 1] != "::";
            let goes_on = tokens.get(place + 1).is_some_and(|next| next == "::");
            if begins && goes_on && (["crate", "super", "self"].contains(&token) || is_child(token))
            {
                let mut paths = Vec::new();
                place = parse(&tokens, place, &[], &mut paths);
                for mut path in paths {
                    if token == "super" && !inner.is_empty() {
                        "self".clone_into(&mut path[0]);
                    } else if is_child(token) {
                        path.insert(0, "self".to_owned());
                    }
                    if let (true, Some(name)) = (is_reexport, path.last()) {
                        source.reexports.insert(name.clone(), path);
                    } else {
                        source.paths.push(path);
                    }
                }
                continue;
            }
            place += 1;
        }
        source.use_reexports(&tokens);
        source
    }

    /// A file that uses a name which it hands on uses the module that the name is from.
    fn use_reexports(&mut self, tokens: &[String]) {
        for (name, path) in &self.reexports {
            if tokens.iter().filter(|token| *token == name).count() > 1 {
                self.paths.push(path.clone());
            }
        }
    }
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for character in code.chars() {
        let goes_on = character.is_alphanumeric() || character == '_';
        match tokens.last_mut() {
            Some(last) if goes_on && is_word => last.push(character),
            Some(last) if character == ':' && last == ":" => last.push(':'),
            _ if character.is_whitespace() => {}
            _ => tokens.push(character.to_string()),
        }
        is_word = goes_on;
    }
    tokens
}

/// Adds the paths that begin at `place`, a group's each for itself; gives the place behind them.
fn parse(
    tokens: &[String],
    mut place: usize,
    before: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(place).map(String::as_str) {
            Some("{") => {
                place += 1;
                while tokens.get(place).is_some_and(|token| token != "}") {
                    if tokens[place] == "," {
                        place += 1;
                    } else {
                        place = parse(tokens, place, &path, paths);
                    }
                }
                return place + 1;
            }
            Some(name) if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.to_owned());
                place += 1;
            }
            // `*`, or the `<` of a turbofish.
            _ => place += 1,
        }
        if tokens.get(place).is_some_and(|token| token == "::") {
            place += 1;
        } else {
            paths.push(path);
            if tokens.get(place).is_some_and(|token| token == "as") {
                place += 2;
            }
            return place;
        }
    }
}

/// `path` as `module` names it, from the crate's root.
fn absolute(module: &Module, path: &[String]) -> Vec<String> {
    let mut base = module.clone();
    let mut rest = path;
    while let Some(first) = rest.first() {
        match first.as_str() {
            "crate" => base.clear(),
            "super" => {
                base.pop();
            }
            "self" => {}
            _ => break,
        }
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    base
}

/// The file that what `path` names is in.
fn file_of(path: &[String], sources: &BTreeMap<Module, Source>) -> Option<Module> {
    let longest = (1..=path.len())
        .rev()
        .find(|&end| sources.contains_key(&path[..end]))?;
    let file = path[..longest].to_vec();
    let name = path.get(longest);
    match name.and_then(|name| sources[&file].reexports.get(name)) {
        Some(reexport) => {
            let further = absolute(&file, reexport);
            if further == path {
                Some(file)
            } else {
                file_of(&further, sources)
            }
        }
        None => Some(file),
    }
}
