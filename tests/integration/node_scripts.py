"""Scripts whose replies the simulated node must give as a real one does: every type, every way to fail."""

from __future__ import annotations

# Runs the call in ARGV and returns its reply as it comes.
PLAIN_CALL = b"return redis.call(unpack(ARGV))"

# Runs the call in ARGV and describes what the script sees of its reply, types and all. What has no order on a
# real node is sorted.
DESCRIBED_CALL = b"""
local unordered = {SMEMBERS = true, HKEYS = true, HVALS = true, HGETALL = true, HSCAN = true, SSCAN = true}
local function show(value)
  if type(value) ~= 'table' then return type(value) .. ':' .. tostring(value) end
  if value.err then return 'err:' .. value.err end
  if value.ok then return 'ok:' .. value.ok end
  local shown = {}
  for at, item in ipairs(value) do shown[at] = show(item) end
  if unordered[string.upper(ARGV[1])] then table.sort(shown) end
  return '[' .. table.concat(shown, ',') .. ']'
end
return {show(redis.pcall(unpack(ARGV)))}
"""

# The same from a script that may run when memory is full, and from one that may not write.
ALLOW_OOM_CALL = b"#!lua flags=allow-oom\n" + PLAIN_CALL
NO_WRITES_CALL = b"#!lua flags=no-writes\n" + PLAIN_CALL
NO_FLAGS_CALL = b"#!lua\n" + PLAIN_CALL
# A script that has written is let go on even when memory is full.
WRITES_FIRST_CALL = b"redis.call('DEL', 's2') " + PLAIN_CALL

CALLING_SCRIPTS = [
    PLAIN_CALL,
    DESCRIBED_CALL,
    DESCRIBED_CALL,
    ALLOW_OOM_CALL,
    NO_WRITES_CALL,
    NO_FLAGS_CALL,
    WRITES_FIRST_CALL,
]

FIXED_SCRIPTS = r"""
return 1
return 3.99
return -3.99
return 1e300
return 0/0
return 2^53
return -2^63
return {2^53, 2^63, -2^63, 1e308, -0.5, 0.9, 2^62}
return 'text'
return ''
return nil
return
return true
return false
return function() end
return {}
return {1,2,nil,3}
return {1,false,3,true,'x',{ok='fine'},{err='bad'},{1.5,{2,{}}}}
return {ok='fine'}
return {ok=1}
return {err=1}
return {err='My error'}
return {err='boo'}
return {ok='a\r\nb'}
return {err='a\r\nb'}
return {err='first', ok='second'}
return setmetatable({1,2},{__index=function() return 'q' end})
return redis.error_reply('boo')
return redis.error_reply('MY boo')
return redis.error_reply('-MY boo')
return redis.error_reply('-boo')
return redis.error_reply('')
return redis.error_reply(1)
return redis.error_reply()
return redis.error_reply('a', 'b')
return redis.error_reply('STALEVIEW 000000010001').err
return redis.status_reply('fine')
return redis.status_reply('')
return redis.status_reply(1).err
return {1, redis.error_reply('x'), redis.status_reply('s'), 2}
error('boo')
error('boo', 0)
error(12)
error(true)
error()
error({})
error({err='BOO x'})
error({err=1})
error({ok='fine'})
error(redis.error_reply('STALEVIEW 00'))
local x; x.y = 1
return 'x' .. nil
return #nil
x = 1
return x
return print
_G.foo = 1
string.foo = 1
redis.foo = 1
KEYS = nil
rawset(string, 'rep', 1) return 1
syntax error here
return (
return {KEYS[1], KEYS[2] or 'none', ARGV[1], ARGV[2], ARGV[3] or 'none', #KEYS, #ARGV}
KEYS[1] = 'x' return KEYS
return {type(KEYS), type(ARGV), type(ARGV[1]), type(redis), type(server), tostring(redis == server)}
local ok, e = pcall(redis.call, 'GET', 'l0') return {tostring(ok), type(e), e}
local ok, e = pcall(redis.call, 'GET') return {tostring(ok), type(e), e}
local ok, e = pcall(error, {err='X y'}) return {tostring(ok), type(e), e}
local ok, e = pcall(error, 'boo') return {tostring(ok), type(e), e}
local ok, a, b = pcall(function() return 1, 2 end) return {tostring(ok), a, b}
local ok, e = xpcall(function() error('boo', 0) end, function(m) return 'for ' .. m end) return {ok, e}
local e = redis.pcall('GET') return {type(e), e.err}
local e = redis.pcall('GET', {}) return {type(e), e.err}
local e = redis.pcall('GET', nil) return {type(e), e.err}
local e = redis.pcall('GET', true) return {type(e), e.err}
local e = redis.pcall() return {type(e), e.err}
local e = redis.pcall('NOSUCHCOMMAND', 'a') return {type(e), e.err}
local e = redis.pcall('EVAL', 'return 1', 0) return {type(e), e.err}
local e = redis.pcall('GET', 'l0') error(e)
local e = redis.pcall('GET', 'l0') e.err = 'FOO bar' return e
return redis.call()
return redis.call({})
return redis.call(1)
return redis.call('NOSUCHCOMMAND')
return redis.call('EVAL', 'return 1', 0)
return redis.call('SUBSCRIBE', 'a')
return redis.call('BLPOP', 'nothing-here', 0)
return type(redis.call('GET', 'nothing-here'))
return type(redis.call('LRANGE', 'nothing-here', 0, -1))
return redis.call('PING').ok
return redis.call('ECHO', 'ping')
return redis.sha1hex('abc')
return redis.sha1hex(1)
return redis.log(redis.LOG_DEBUG, 'said')
return {redis.call('ECHO', 12), redis.call('ECHO', -0.0), redis.call('ECHO', 1.5), redis.call('ECHO', 1e15)}
return {redis.call('ECHO', 1e16), redis.call('ECHO', -1e17)}
return {redis.call('ECHO', 1e20), redis.call('ECHO', 1e-7)}
return {redis.call('ECHO', 2^53), redis.call('ECHO', 2^62)}
return {redis.call('ECHO', 2^63), redis.call('ECHO', -2^63)}
return {redis.call('ECHO', 0.1), redis.call('ECHO', 1/3), redis.call('ECHO', 3e-5), redis.call('ECHO', 1e300)}
return {redis.call('ECHO', 1/0), redis.call('ECHO', -1/0)}
return {redis.call('ECHO', 12345678.9), redis.call('ECHO', 1.2345e-4)}
return {tostring(2^53), 2^31 .. '', 1e14 .. '', 123456789012345 .. '', tostring(0.1)}
return string.format('%d %x %012x %08X %s %5.2f|%q', 2^40, 255, 2^47, 48879, 5, 2.5, 'a"b')
return {tonumber('0010', 16), tonumber('ff', 16), tonumber('000000000003', 16)}
return {tonumber('12'), tonumber('1e3'), tonumber(' 5 '), tostring(tonumber('x'))}
return {string.sub('abcdef', 2, 3), string.sub('abc', -2), string.rep('ab', 3)}
return {string.byte('A'), string.char(66, 0, 255)}
return {('x'):upper(), string.find('a:b', ':', 1, true), string.match('id:0a', '^(%w+):(%x+)$')}
local t = {} for i = 1, 7990 do t[i] = 'x' end return select('#', unpack(t))
local t = {} for i = 1, 8000 do t[i] = 'x' end return select('#', unpack(t))
local t = {'ECHO'} for i = 1, 7990 do t[i + 1] = 'x' end return redis.call(unpack(t))
local t = {'SADD', 'big'} for i = 1, 7900 do t[#t + 1] = i end return redis.call(unpack(t))
return redis.call('DEL', 'big')
local t = {} for i = 1, 20000 do t[i] = i end return t
for i = 1, 9000 do redis.call('RPUSH', 'big', i) end
local r = redis.call('LRANGE', 'big', 0, -1) redis.call('DEL', 'big') return {#r, r[1], r[9000]}
#!lua
#!lua\nreturn 1
#!lua flags=\nreturn 1
#!lua flags=allow-oom\nreturn x
#!lua flags=allow-oom,no-writes\nreturn redis.call('ECHO', 'a')
#!lua flags=no-writes\nreturn redis.call('SET', 's0', 'a')
#!lua flags=no-writes\nreturn redis.pcall('SET', 's0', 'a').err
#!lua flags=foo\nreturn 1
#!lua name=x\nreturn 1
#!foo\nreturn 1
"""


def fixed_scripts() -> list[bytes]:
    """Return the scripts above; in those which begin with `#!`, a written newline ends the first line."""
    lines = FIXED_SCRIPTS.strip().splitlines()
    return [(line.replace("\\n", "\n", 1) if line.startswith("#!") else line).encode() for line in lines]
