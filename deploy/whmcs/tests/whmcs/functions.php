<?php

/**
 * The functions of WHMCS that the module calls.
 */

use Illuminate\Database\Capsule\Manager;

function stand_in_note(string $function, array $arguments): void
{
    Manager::table('stand_in_calls')->insert(['function' => $function, 'arguments' => json_encode($arguments)]);
}

function logModuleCall($module, $action, $request, $response, $processed, $replaceVars = []): void
{
    // WHMCS replaces the secrets itself; the module must not count on it alone.
    stand_in_note('logModuleCall', [$module, $action, $request, $response, $processed]);
}

function logActivity($message, $clientId = 0): void
{
    stand_in_note('logActivity', [$message]);
}

/** Like WHMCS's: another text each time. */
function encrypt($text): string
{
    $nonce = random_bytes(12);
    return base64_encode($nonce . openssl_encrypt($text, 'aes-128-ctr', 'stand-in', OPENSSL_RAW_DATA, str_pad($nonce, 16, "\0")));
}

function decrypt($text): string
{
    $raw = (string) base64_decode((string) $text);
    $nonce = str_pad(substr($raw, 0, 12), 16, "\0");
    return $raw === '' ? '' : (string) openssl_decrypt(substr($raw, 12), 'aes-128-ctr', 'stand-in', OPENSSL_RAW_DATA, $nonce);
}

function add_hook($name, $priority, $function): void
{
    $GLOBALS['stand_in_hooks'][$name][] = $function;
}

function run_hook(string $name, array $vars = []): array
{
    return array_map(static fn (callable $hook): mixed => $hook($vars), $GLOBALS['stand_in_hooks'][$name] ?? []);
}

function localAPI($command, $values = []): array
{
    if ($command === 'SendEmail') {
        foreach (run_hook('EmailPreSend', ['messagename' => $values['messagename'], 'relid' => $values['id']]) as $answer) {
            if (!empty($answer['abortsend'])) {
                return ['result' => 'error', 'message' => 'Email Send Aborted By Hook'];
            }
        }
    }
    $fails = Manager::table('tblconfiguration')->where('setting', "stand_in_fails_$command")->exists();
    stand_in_note($fails ? "failed $command" : $command, $values);
    return $fails ? ['result' => 'error', 'message' => 'The mail server is down'] : ['result' => 'success'];
}

function check_token($namespace): void
{
    stand_in_note('check_token', [$namespace]);
}
