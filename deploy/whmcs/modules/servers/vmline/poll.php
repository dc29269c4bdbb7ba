<?php

/**
 * How far a machine is, as JSON, for the script of the client area.
 */

use WHMCS\Authentication\CurrentUser;
use WHMCS\Module\Server\Vmline\Poll;

require dirname(__DIR__, 3) . '/init.php';
require_once __DIR__ . '/lib/autoload.php';

$client = class_exists(CurrentUser::class) ? (new CurrentUser())->client() : null;
$clientId = (int) ($client->id ?? $_SESSION['uid'] ?? 0);
session_write_close(); // a slow answer must not hold up the customer's other pages

[$status, $answer] = Poll::answer($clientId, (int) ($_GET['id'] ?? 0));
http_response_code($status);
header('Content-Type: application/json');
header('Cache-Control: no-store');
echo json_encode($answer, JSON_HEX_TAG | JSON_HEX_AMP | JSON_INVALID_UTF8_SUBSTITUTE);
