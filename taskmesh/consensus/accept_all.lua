-- Second phase of many registers at once, each by itself.
-- flags: allow-oom
-- parts: acceptor, phases
-- KEYS[1] prefix  ARGV: instance, configuration, ballot (n, proposer), then for each register: name, digest, value
-- Returns {'ACCEPTED', then for each register what accept.lua says first: 'ACCEPTED', 'CONFLICT', 'AHEAD', 'FAULT'}, or a
--   refusal as parts/acceptor.lua makes it.
local no = refusal()
if no then return no end
local out = {'ACCEPTED'}
for i = 5, #ARGV, 3 do
  out[#out + 1] = take(ARGV[i], ARGV[3], ARGV[4], ARGV[i + 1], ARGV[i + 2], false)[1]
end
return out
