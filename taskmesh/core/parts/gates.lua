-- Gates: what the keys of a message hold on the node, and how it is let go of.
--   uq    hash: digest of a unique key -> until when (12 hex), id of the message that holds it
--   us    hash: id -> digest, of those that let go of it when they are first claimed
--   gate  hash: id -> 'u' and the digest of its unique key, 's' and that of its sequence key
--   sq:<digest>  sorted set: the messages of one sequence that are not final, in their order; the first one has its turn
--   blk:<queue>  set: of these, the ones that wait for their turn. They stand in no line.
local NEVER = 'ffffffffffff'

-- A key that was taken anew since, after its time, is left alone.
local function let_go_of_key(digest, id)
  local taken = CALL('HGET', P .. 'uq', digest)
  if taken and string.sub(taken, 13) == id then CALL('HDEL', P .. 'uq', digest) end
end

-- Some are claimed: who holds a unique key only until then lets go of it, once.
local function let_go_when_claimed(ids)
  local digests = CALL('HMGET', P .. 'us', unpack(ids))
  for i = 1, #ids do
    if digests[i] then
      let_go_of_key(digests[i], ids[i])
      CALL('HDEL', P .. 'us', ids[i])
    end
  end
end
