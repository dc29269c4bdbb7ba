-- The generic cell rate algorithm for one key (see gcra.go). All times are in microseconds.
-- KEYS[1] the theoretical arrival time; ARGV: now, window, time that one request uses up
-- Returns {1 if allowed, arrival time, how much too early}, the latter two as text: they are large.
local now, window, each = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local early = tat + each - window - now
if early > 0 then
  return {0, string.format('%.0f', tat), string.format('%.0f', early)}
end
tat = string.format('%.0f', tat + each)
redis.call('SET', KEYS[1], tat, 'PX', math.ceil(window / 1000) + 1000)
return {1, tat, '0'}
