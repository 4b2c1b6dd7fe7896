-- SQLite: the table as Asterisk itself makes it from cdr_sqlite3_custom.conf, in WAL mode: there other programs may
-- read while Asterisk writes. Without it, a program that reads while a call ends makes Asterisk lose its record;
-- ixxsms reads without doing so, others do not. To be run before Asterisk has made the file, or at any time for the mode.
--   sqlite3 /var/log/asterisk/master.db < cdr.sql && chown asterisk: /var/log/asterisk/master.db

PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS cdr (
  AcctId INTEGER PRIMARY KEY,
  calldate, clid, src, dst, dcontext, channel, dstchannel, lastapp, lastdata, duration, billsec, disposition, amaflags,
  accountcode, uniqueid, userfield, did, linkedid, sequence
);
