-- Every script: KEYS[1] = prefix, ARGV[1] = the caller's epoch, ARGV[2] = now in ms.
-- A mesh of several nodes says `f` and the number of its view. Its scripts see only the records that this node leads, and tell
-- what they changed (see `changes.lua`): CALL is more than `redis.call` there.
local P, EPOCH, NOW = KEYS[1], ARGV[1], tonumber(ARGV[2])
local CALL = redis.call
-- In a mesh of several nodes: the least version that this view gives.
local FLOOR
-- In a mesh of several nodes: ids which the caller is told of, so that W copies must have them first.
local SEEN
-- In a mesh of several nodes: messages that were given to idle children, who may be told once W copies have that.
local HANDED
-- True while each replica sees to its own copies, whoever leads them.
local COPIES = false
-- In a mesh of several nodes: what is larger is not told, but fetched or read by those who want it.
local LARGE_BYTES
-- Whether anybody listens to events: asked together with the epoch, so that it costs no command.
local LISTENED
do
  local found = CALL('MGET', P .. 'epoch', P .. 'listened')
  local epoch = found[1]
  LISTENED = found[2]
  if epoch ~= EPOCH then return redis.error_reply('STALEVIEW ' .. (epoch or 'none')) end
end
