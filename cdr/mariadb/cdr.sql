-- MariaDB and MySQL: the table that FreePBX and Issabel have, and a key, by which a harvest knows where it was.
--   mariadb asteriskcdrdb < cdr.sql

CREATE TABLE IF NOT EXISTS cdr (
  id            bigint       NOT NULL AUTO_INCREMENT PRIMARY KEY,
  calldate      datetime     NOT NULL DEFAULT CURRENT_TIMESTAMP,
  clid          varchar(80)  NOT NULL DEFAULT '',
  src           varchar(80)  NOT NULL DEFAULT '',
  dst           varchar(80)  NOT NULL DEFAULT '',
  dcontext      varchar(80)  NOT NULL DEFAULT '',
  channel       varchar(80)  NOT NULL DEFAULT '',
  dstchannel    varchar(80)  NOT NULL DEFAULT '',
  lastapp       varchar(80)  NOT NULL DEFAULT '',
  lastdata      varchar(80)  NOT NULL DEFAULT '',
  duration      int          NOT NULL DEFAULT 0,
  billsec       int          NOT NULL DEFAULT 0,
  disposition   varchar(45)  NOT NULL DEFAULT '',
  amaflags      int          NOT NULL DEFAULT 0,
  accountcode   varchar(20)  NOT NULL DEFAULT '',
  uniqueid      varchar(150) NOT NULL DEFAULT '',
  userfield     varchar(255) NOT NULL DEFAULT '',
  did           varchar(50)  NOT NULL DEFAULT '',
  recordingfile varchar(255) NOT NULL DEFAULT '',
  cnum          varchar(80)  NOT NULL DEFAULT '',
  cnam          varchar(80)  NOT NULL DEFAULT '',
  outbound_cnum varchar(80)  NOT NULL DEFAULT '',
  outbound_cnam varchar(80)  NOT NULL DEFAULT '',
  dst_cnam      varchar(80)  NOT NULL DEFAULT '',
  linkedid      varchar(150) NOT NULL DEFAULT '',
  peeraccount   varchar(80)  NOT NULL DEFAULT '',
  sequence      int          NOT NULL DEFAULT 0,
  KEY calldate (calldate),
  KEY src (src),
  KEY dst (dst),
  KEY did (did),
  KEY uniqueid (uniqueid),
  KEY linkedid (linkedid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Who writes (Asterisk) and reads (ixxsms); 127.0.0.1 is where they connect from.
CREATE USER IF NOT EXISTS '@USER@'@'127.0.0.1' IDENTIFIED BY '@PASSWORD@';
GRANT SELECT, INSERT ON cdr TO '@USER@'@'127.0.0.1';
