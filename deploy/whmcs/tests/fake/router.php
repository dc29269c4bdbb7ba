<?php

/**
 * A server that answers as its test says: from the file answers.json in VMLINE_FAKE. Each request is added to
 * requests.jsonl there.
 *
 * answers.json: {"GET /v1/version": [answer, answer, ...]}. The last answer of a list is given for ever. A key may
 * have a query; without one it stands for every query. An answer is
 * {"status", "headers", "body" (JSON), "raw" (text), "delay" (seconds), "cut" (bytes of the body that are sent)}.
 */

$dir = getenv('VMLINE_FAKE');
$body = file_get_contents('php://input');
$headers = array_change_key_case(getallheaders());
$lock = fopen("$dir/lock", 'c');
flock($lock, LOCK_EX);
$request = ['method' => $_SERVER['REQUEST_METHOD'], 'target' => $_SERVER['REQUEST_URI'], 'headers' => $headers, 'body' => $body];
file_put_contents("$dir/requests.jsonl", json_encode($request) . "\n", FILE_APPEND);
$answers = json_decode(file_get_contents("$dir/answers.json"), true);
$target = "$request[method] $request[target]";
$key = isset($answers[$target]) ? $target : explode('?', $target)[0];
$answer = $answers[$key][0] ?? ['status' => 404, 'body' => ['type' => 'urn:vmline:problem:not-found', 'title' => 'Not Found', 'status' => 404,
    'detail' => 'There is nothing at this path.']];
if (count($answers[$key] ?? []) > 1) {
    array_shift($answers[$key]);
    file_put_contents("$dir/answers.json", json_encode($answers));
}
flock($lock, LOCK_UN);

usleep((int) (1e6 * ($answer['delay'] ?? 0)));
http_response_code($answer['status'] ?? 200);
$problem = ($answer['status'] ?? 200) >= 400;
$text = $answer['raw'] ?? (isset($answer['body']) ? json_encode($answer['body']) : '');
header('Content-Type: ' . (isset($answer['raw']) ? 'text/html' : ($problem ? 'application/problem+json' : 'application/json')));
foreach ($answer['headers'] ?? [] as $name => $value) {
    header("$name: $value");
}
if (isset($answer['cut'])) {
    header('Content-Length: ' . strlen($text));
    $text = substr($text, 0, $answer['cut']);
}
echo $text;
