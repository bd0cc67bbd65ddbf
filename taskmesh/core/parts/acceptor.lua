-- Every step of an acceptor: KEYS[1] = prefix, ARGV[1] = the instance that is meant, ARGV[2] = the configuration.
-- Refusals come before anything is written; a list with a word in front, so that the model gives the very same.
local P, CALL = KEYS[1], redis.call
local A = P .. 'ac:'
local I, C = A .. 'instance', A .. ARGV[2]
-- as in consensus/ballot.py: numbers end where doubles are no longer exact, and one proposal does not use them up
local N_MAX, JUMP_MAX = 2^52, 2^32

-- an answer for who means another instance, or one that was started anew and not admitted; else the highest configuration
local function stranger()
  local known = CALL('HMGET', I, 'id', 'run', 'configuration')
  if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
  if known[2] ~= string.match(CALL('INFO', 'server'), 'run_id:(%w+)') then return {'NOTADMITTED', known[2] or ''} end
  return nil, known[3] or '0'
end

local function refusal()
  local no, latest = stranger()
  if no then return no end
  local sealed = CALL('HGET', C, 'sealed')
  if not sealed then return {'CONFIGURATION', latest} end
  if sealed == '1' then return {'SEALED', latest} end
end

-- what was written is counted: a disk that is behind is known by its count
local function count() return CALL('HINCRBY', I, 'count', 1) end

local function above(n, p, other_n, other_p)
  if n ~= other_n then return n > other_n end
  return p > other_p
end

-- what was promised last, or accepted if that is higher (n, proposer), then what was accepted (n, proposer, digest, value)
local function register(name)
  local r = CALL('HMGET', C .. ':r:' .. name, 'pn', 'pp', 'an', 'ap', 'digest', 'value')
  local pn, pp, an, ap = tonumber(r[1] or 0), tonumber(r[2] or 0), tonumber(r[3] or 0), tonumber(r[4] or 0)
  if above(an, ap, pn, pp) then pn, pp = an, ap end
  return pn, pp, an, ap, r[5] or '', r[6] or ''
end

-- numbers up to 2^52 are written in full: %d, for tostring would round them
local function whole(n) return string.format('%d', n) end
