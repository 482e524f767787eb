import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{C as t,F as n,P as r,R as i,S as a,T as o,U as s,V as c,a as l,b as u,ct as d,n as f,o as p,r as m,v as h,w as g,x as _,y as v,z as y}from"./ui-bbcBLmru.js";import{a as b,i as x,r as S}from"./live-BPpS0-Uq.js";import{t as C}from"./console-Cycho7Ix.js";import{l as w,o as T,p as E,t as D}from"./jsx-runtime-BhzG6WC1.js";import{t as O}from"./graphql-C-gECOzk.js";var k=e(E(),1),A=O(`
  query Keys {
    admin {
      keys {
        id
        subject
        label
        groups
        roles
        scopes
        tenant
        createdBy
        created
        expires
        lastUsed
        revoked
      }
    }
  }
`),j=O(`
  mutation CreateKey(
    $subject: String!
    $ttlSeconds: SafeInt!
    $label: String
    $groups: [String!]
    $roles: [String!]
    $scopes: [String!]
    $tenant: String
  ) {
    createKey(
      subject: $subject
      ttlSeconds: $ttlSeconds
      label: $label
      groups: $groups
      roles: $roles
      scopes: $scopes
      tenant: $tenant
    ) {
      secret
    }
  }
`),M=O(`
  mutation RevokeKey($id: ID!) {
    revokeKey(id: $id)
  }
`),N=D(),P=86400,F=[[String(P),`A day`],[String(7*P),`A week`],[String(30*P),`30 days`],[String(90*P),`90 days`],[String(365*P),`A year`]],I={subject:``,label:``,groups:``,roles:``,scopes:``,tenant:``,ttl:String(30*P)},L=e=>{let t=e.split(/[\s,]+/).filter(Boolean);return t.length>0?t:null};function R({onDone:e}){let t=S(),[i,a]=(0,k.useState)(!1),{form:o,setForm:s,field:l,choice:u}=v(I),[f,p]=(0,k.useState)(!1),[m,_]=(0,k.useState)(),[b,x]=(0,k.useState)(``),C=async()=>{p(!0),_(void 0);let n={subject:o.subject.trim(),ttlSeconds:Number(o.ttl),label:o.label.trim()||null,groups:L(o.groups),roles:L(o.roles),scopes:L(o.scopes),tenant:o.tenant.trim()||null},r=await t.mutation(j,n).toPromise();p(!1),_(r.error),r.data?.createKey&&(x(r.data.createKey.secret),s(I),e())},w=()=>{a(!1),x(``),_(void 0)};return(0,N.jsxs)(N.Fragment,{children:[(0,N.jsx)(d,{className:`react-aria-Button primary`,onPress:()=>a(!0),children:`Create a key`}),(0,N.jsx)(y,{title:b?`The key`:`Create a key`,isOpen:i,onClose:w,isDismissable:!b,children:b?(0,N.jsxs)(N.Fragment,{children:[(0,N.jsx)(g,{tone:`warn`,children:`This is the only time that the secret is shown. Copy it now to where it is kept; a lost one is replaced by a new key.`}),(0,N.jsx)(c,{label:`secret`,text:b}),(0,N.jsxs)(`p`,{children:[`It is sent as `,(0,N.jsx)(`code`,{children:`Authorization: Bearer`}),`, to every door.`]}),(0,N.jsx)(`div`,{className:`actions`,children:(0,N.jsx)(d,{className:`react-aria-Button primary`,onPress:w,children:`I have kept it`})})]}):(0,N.jsxs)(h,{error:m,what:`No key was made`,submit:`Create`,isDisabled:f||o.subject.trim()===``,onSubmit:C,onCancel:w,children:[(0,N.jsxs)(`div`,{className:`grid`,children:[(0,N.jsx)(n,{label:`Subject`,isRequired:!0,...l(`subject`),hint:`Whose it is, such as billing-sync.`}),(0,N.jsx)(r,{label:`Good for`,...u(`ttl`),options:F}),(0,N.jsx)(n,{label:`Label`,...l(`label`),hint:`What it is for.`}),(0,N.jsx)(n,{label:`Roles`,...l(`roles`),hint:`Several with spaces between them.`}),(0,N.jsx)(n,{label:`Groups`,...l(`groups`),hint:`Several with spaces between them.`}),(0,N.jsx)(n,{label:`Scopes`,...l(`scopes`),hint:`The bound of what it may do; none is no bound.`}),(0,N.jsx)(n,{label:`Tenant`,...l(`tenant`),hint:`Only where there are several.`})]}),(0,N.jsx)(`p`,{className:`muted`,children:`A key has no right that you do not have, unless you may change the policy.`})]})})]})}function z(){let e=C(),[{data:n,error:r,fetching:i},s]=b({query:A,requestPolicy:`network-only`}),c=()=>s({requestPolicy:`network-only`}),u=o(r).some(e=>e.code===`NOT_FOUND`),f=e(`keys`,`admin`)&&!u,h=n?.admin.keys;return(0,N.jsxs)(l,{title:`Keys`,hint:`API keys of the gateway's own, for services without an issuer.`,actions:(0,N.jsxs)(N.Fragment,{children:[(0,N.jsx)(d,{onPress:c,children:`Read again`}),f&&(0,N.jsx)(R,{onDone:c})]}),children:[!u&&(0,N.jsx)(a,{error:r}),u?(0,N.jsxs)(_,{title:`This gateway takes no API keys`,children:[`Write `,(0,N.jsxs)(`code`,{children:[`api_keys: `,`{}`]}),` under `,(0,N.jsx)(`code`,{children:`auth`}),` in the configuration. The first start makes one and writes it into `,(0,N.jsx)(`code`,{children:`first-api-key`}),` in the data directory.`]}):h?h.length===0?(0,N.jsx)(_,{title:`There is no key`,children:f&&`Create one for each service, so that each can be revoked alone.`}):(0,N.jsx)(p,{title:`Keys: ${h.length}`,children:(0,N.jsx)(m,{items:h.toReversed(),label:`Keys`,what:`keys`,id:e=>e.id,children:e=>(0,N.jsx)(B,{of:e,admin:f,onDone:c})})}):i&&(0,N.jsx)(t,{what:`keys`})]})}function B({of:e,admin:t,onDone:n}){let[,r]=x(M),o=e.expires!==null&&new Date(e.expires).getTime()<=Date.now(),c=!e.revoked&&!o,l=T(e.label||e.subject,100),d=[[`roles`,e.roles],[`groups`,e.groups],[`bounded by`,e.scopes]];return(0,N.jsx)(f,{title:l,badge:(0,N.jsx)(u,{tone:c?`good`:`bad`,children:e.revoked?`Revoked`:o?`Expired`:`Good`}),id:`${T(e.subject,200)} · ${T(e.id,60)}`,what:(0,N.jsxs)(N.Fragment,{children:[d.map(([e,t])=>t.length>0&&(0,N.jsxs)(`span`,{children:[(0,N.jsx)(`span`,{className:`muted`,children:e}),` `,T(t.join(`, `),300)]},e)),e.tenant&&(0,N.jsxs)(`span`,{children:[`tenant `,T(e.tenant,100)]})]}),when:(0,N.jsxs)(N.Fragment,{children:[(0,N.jsx)(`span`,{children:e.revoked?`revoked ${w(e.revoked)}`:`${o?`ended`:`ends`} ${w(e.expires)}`}),(0,N.jsxs)(`span`,{className:`muted`,title:T(e.createdBy,300),children:[`made `,w(e.created),`, `,e.lastUsed?`used ${w(e.lastUsed)}`:`never used`]})]}),actions:(0,N.jsxs)(N.Fragment,{children:[(0,N.jsx)(s,{className:`ui-button`,href:`/audit?principal=${encodeURIComponent(`*|${e.subject}`)}`,children:`Records`}),t&&c&&(0,N.jsx)(i,{label:`Revoke`,title:`Revoke ${l}`,confirm:`Revoke it`,danger:!0,act:async()=>{let{error:t}=await r({id:e.id});if(t)return(0,N.jsx)(a,{error:t});n()},children:(0,N.jsx)(`p`,{children:`It is refused on every node from now on, and what was opened with it ends. This cannot be undone.`})})]})})}export{z as default};