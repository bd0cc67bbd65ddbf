-- What a node gives its scripts: `redis.call` and kin, protected globals, and the way home for replies.
--
-- Arguments: dispatch  a Python callable: the words of one command in, its reply out (see `answer` below)
--            say_sha1  a Python callable: SHA-1 of a string, in hex
-- Returns:   compile   source -> function, or nil and the error
--            run       chunk, number of keys, keys and arguments... -> reply, in one of four forms:
--                      nil | a string | a number | true and the reply in RESP2 | false and an error's text
--            run_packed  the same, with two tables instead of the row
--
-- Every table that a script can reach here is a stand-in, which it cannot change, as on the real node.

local dispatch, say_sha1 = ...
local type, select, tostring, error, rawget, rawset = type, select, tostring, error, rawget, rawset
local setmetatable, setfenv, loadstring, xpcall = setmetatable, setfenv, loadstring, xpcall
local floor, ceil, concat, gsub, find, sub = math.floor, math.ceil, table.concat, string.gsub, string.find, string.sub
local format, getinfo, raw_pcall = string.format, debug.getinfo, pcall

local SCRIPT = "@user_script"
local LEAST_INTEGER = "-9223372036854775808"

-- Replies on their way into the script -------------------------------------------------------------------

-- Turn what `dispatch` returned into what a script sees: nil -> false; true, items... -> an array;
-- false, "ok", text -> a status; false, "err", text -> an error.
local function answer(raises, first, ...)
  if first == nil then return false end
  if first == true then return {...} end
  if first == false then
    local kind, text = ...
    local reply = {[kind] = text}
    if kind == "err" then
      reply.ignore_error_stats_update = true
      if raises then error(reply, 0) end
    end
    return reply
  end
  return first
end

local redis = {}

function redis.call(...) return answer(true, dispatch(...)) end
function redis.pcall(...) return answer(false, dispatch(...)) end

local function only_text(count, text)
  if count == 1 and type(text) == "string" then return nil end
  return {err = "ERR wrong number or type of arguments"}
end

function redis.error_reply(...)
  local text = ...
  local wrong = only_text(select("#", ...), text)
  if wrong then return wrong end
  if sub(text, 1, 1) == "-" then text = sub(text, 2) end
  if not find(text, " ", 1, true) then text = "ERR " .. text end
  return {err = text}
end

function redis.status_reply(...)
  local text = ...
  return only_text(select("#", ...), text) or {ok = text}
end

function redis.sha1hex(text) return say_sha1(tostring(text)) end
function redis.log() end
redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3

-- Globals ------------------------------------------------------------------------------------------------

local READ_ONLY = "Attempt to modify a readonly table"
local stand_ins = {}

local function refuse_write() error(READ_ONLY, 2) end

local function readonly(contents)
  local stand_in = setmetatable({}, {__index = contents, __newindex = refuse_write, __metatable = false})
  stand_ins[stand_in] = true
  return stand_in
end

local function guarded_rawset(target, ...)
  if stand_ins[target] then error(READ_ONLY, 0) end
  return rawset(target, ...)
end

-- An error that `pcall` catches comes to the script as its text, on the real node as well.
local function text_of_error(ok, caught, ...)
  if not ok and type(caught) == "table" and type(caught.err) == "string" then return false, caught.err end
  return ok, caught, ...
end

-- No clock and no random numbers: with these, a seed would not give the same run. They fail by name.
local visible_math = {}
for name, value in pairs(math) do
  if name ~= "random" and name ~= "randomseed" then visible_math[name] = value end
end

local api = readonly(redis)
local globals = {
  redis = api, server = api,
  string = readonly(string), table = readonly(table), math = readonly(visible_math),
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
  rawequal = rawequal, rawget = rawget, rawset = guarded_rawset, select = select, setmetatable = setmetatable,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, xpcall = xpcall, _VERSION = _VERSION,
  pcall = function(...) return text_of_error(raw_pcall(...)) end,
}
setmetatable(globals, {__index = function(_, name)
  error(format("Script attempted to access nonexistent global variable '%s'", tostring(name)), 2)
end})
local environment = readonly(globals)
globals._G = environment

local function compile(source)
  local chunk, problem = loadstring(source, SCRIPT)
  if not chunk then return nil, problem end
  return setfenv(chunk, environment)
end

-- Replies on their way out -------------------------------------------------------------------------------

local function whole(number)
  if number ~= number or number >= 2^63 or number < -2^63 then return LEAST_INTEGER end
  return format("%d", number >= 0 and floor(number) or ceil(number))
end

local bulk_heads = setmetatable({}, {__index = function(heads, length)
  local head = "$" .. length .. "\r\n"
  heads[length] = head
  return head
end})

local function one_line(text) return (gsub(text, "[\r\n]", " ")) end

local function refuse_resp3(reply)
  for _, kind in ipairs({"double", "map", "set", "big_number", "verbatim_string"}) do
    if rawget(reply, kind) ~= nil then
      error("a reply with a field '" .. kind .. "' means something in RESP3, which is not simulated", 0)
    end
  end
end

local encode

local function encode_table(reply, out, at)
  local problem, status = rawget(reply, "err"), rawget(reply, "ok")
  if type(problem) == "string" then
    out[at] = "-" .. one_line(problem) .. "\r\n"
    return at + 1
  elseif type(status) == "string" then
    out[at] = "+" .. one_line(status) .. "\r\n"
    return at + 1
  end
  refuse_resp3(reply)
  local head, count = at, 0
  at = at + 1
  while true do                                       -- an array ends at its first nil
    local item = rawget(reply, count + 1)
    if item == nil then break end
    at = encode(item, out, at)
    count = count + 1
  end
  out[head] = "*" .. count .. "\r\n"
  return at
end

function encode(value, out, at)
  local kind = type(value)
  if kind == "string" then
    out[at] = bulk_heads[#value] .. value .. "\r\n"
  elseif kind == "number" then
    out[at] = ":" .. whole(value) .. "\r\n"
  elseif kind == "table" then
    return encode_table(value, out, at)
  elseif value == true then
    out[at] = ":1\r\n"
  else
    out[at] = "$-1\r\n"
  end
  return at + 1
end

local function reply_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then
    if value == floor(value) and value < 2^53 and value > -2^53 then return value end
  elseif kind ~= "table" then
    if value == true then return 1 end
    return nil
  end
  local out = {}
  encode(value, out, 1)
  return true, concat(out)
end

-- A state that holds little more than its scripts would be searched for garbage after each few runs.
collectgarbage("setpause", 1000)

-- One run ------------------------------------------------------------------------------------------------

local function line_of_script()
  for level = 3, 40 do
    local frame = getinfo(level, "Sl")
    if not frame then return 0 end
    if frame.source == SCRIPT then return frame.currentline end
  end
  return 0
end

-- Turn whatever was thrown into the text of the error reply. A Python exception passes through unchanged.
local function explain(problem)
  local text
  if type(problem) == "table" then
    local said = rawget(problem, "err")
    text = (type(said) == "string" or type(said) == "number") and tostring(said) or "ERR unknown error"
  elseif type(problem) == "userdata" then
    return problem
  else
    text = "ERR " .. tostring(problem)
  end
  return one_line(text) .. " script: on " .. SCRIPT .. ":" .. line_of_script() .. "."
end

local function finish(ok, value)
  if not ok then return false, value end
  return reply_of(value)
end

local function run_packed(chunk, keys, arguments)
  globals.KEYS, globals.ARGV = keys, arguments
  return finish(xpcall(chunk, explain))
end

local function run_with_one(chunk, key, ...) return run_packed(chunk, {key}, {...}) end

local function run(chunk, key_count, ...)
  if key_count == 1 then return run_with_one(chunk, ...) end
  local keys, arguments = {...}, {}
  for index = key_count + 1, #keys do
    arguments[index - key_count], keys[index] = keys[index], nil
  end
  return run_packed(chunk, keys, arguments)
end

return compile, run, run_packed
