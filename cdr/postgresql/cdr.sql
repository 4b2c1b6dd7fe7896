-- PostgreSQL: Asterisk's own columns, and a key, by which a harvest knows where it was.
--   psql asterisk < cdr.sql

CREATE TABLE IF NOT EXISTS cdr (
  id          bigserial PRIMARY KEY,
  calldate    timestamp NOT NULL,
  clid        text NOT NULL DEFAULT '',
  src         text NOT NULL DEFAULT '',
  dst         text NOT NULL DEFAULT '',
  dcontext    text NOT NULL DEFAULT '',
  channel     text NOT NULL DEFAULT '',
  dstchannel  text NOT NULL DEFAULT '',
  lastapp     text NOT NULL DEFAULT '',
  lastdata    text NOT NULL DEFAULT '',
  answer      timestamp,
  "end"       timestamp,
  duration    integer NOT NULL DEFAULT 0,
  billsec     integer NOT NULL DEFAULT 0,
  disposition text NOT NULL DEFAULT '',
  amaflags    text NOT NULL DEFAULT '',
  accountcode text NOT NULL DEFAULT '',
  uniqueid    text NOT NULL DEFAULT '',
  userfield   text NOT NULL DEFAULT '',
  did         text NOT NULL DEFAULT '',
  linkedid    text NOT NULL DEFAULT '',
  peeraccount text NOT NULL DEFAULT '',
  sequence    integer NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS cdr_calldate ON cdr (calldate);
CREATE INDEX IF NOT EXISTS cdr_src ON cdr (src);
CREATE INDEX IF NOT EXISTS cdr_dst ON cdr (dst);
CREATE INDEX IF NOT EXISTS cdr_uniqueid ON cdr (uniqueid);

-- Who writes (Asterisk) and reads (ixxsms).
CREATE ROLE "@USER@" LOGIN PASSWORD '@PASSWORD@';
GRANT SELECT, INSERT ON cdr TO "@USER@";
GRANT USAGE ON SEQUENCE cdr_id_seq TO "@USER@";
