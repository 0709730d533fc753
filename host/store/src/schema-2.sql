-- Version 2: where images came from.

-- The digest (of an index, or of a manifest) that stood for an image in a repository: `docker.io/library/python`.
CREATE TABLE origin (
    repository  TEXT NOT NULL,
    digest      TEXT NOT NULL,
    image       TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest, image)
) STRICT, WITHOUT ROWID;
CREATE INDEX origin_image ON origin (image);
CREATE INDEX origin_digest ON origin (digest);
