-- Every step of an acceptor: KEYS[1] = prefix, ARGV[1] = the instance that is meant, ARGV[2] = the configuration.
-- Refusals come before anything is written; a list with a word in front, so that the model gives the very same.
local P = KEYS[1] .. 'ac:'
local CALL = redis.call
local I = P .. 'instance'
local C = P .. ARGV[2]

local function running_as()
  return string.match(CALL('INFO', 'server'), 'run_id:(%w+)') or ''
end

local function refusal()
  local known = CALL('HMGET', I, 'id', 'run', 'configuration')
  if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
  if known[2] ~= running_as() then return {'NOTADMITTED', known[2] or ''} end
  local sealed = CALL('HGET', C, 'sealed')
  if not sealed then return {'CONFIGURATION', known[3] or '0'} end
  if sealed == '1' then return {'SEALED', known[3] or '0'} end
end

-- what was written is counted: a disk that is behind is known by its count
local function count() return CALL('HINCRBY', I, 'count', 1) end

local function above(n, p, other_n, other_p)
  if n ~= other_n then return n > other_n end
  return p > other_p
end

local function register(name)
  local found = CALL('HMGET', C .. ':r:' .. name, 'pn', 'pp', 'an', 'ap', 'digest', 'value')
  for i = 1, 4 do found[i] = tonumber(found[i] or 0) end
  return found
end

-- numbers up to 2^52 are written in full: %d, for tostring would round them
local function whole(n) return string.format('%d', n) end
